//! Kubernetes objects in files, directories and standard input, with the place of each in its text.

mod input;
mod object_set;

pub use input::{InputError, read_directory, read_inputs};
pub use object_set::{ObjectSet, SetObject};
