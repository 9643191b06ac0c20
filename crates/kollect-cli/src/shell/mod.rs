//! How the program sits in a shell: its name and arguments, exit status, completion scripts and manual pages.

mod arguments;
mod completion;
mod manual;
mod name;

pub use arguments::parse;
pub use completion::{CompletionArgs, Shell, answer, completion};
pub use manual::{ManArgs, ManError, manual};
pub use name::named;

/// Exit status of a command that did what it was asked.
pub const OK: u8 = 0;
/// Exit status of a command that found something.
pub const FOUND: u8 = 1;
/// Exit status of a command whose input is not sound.
pub const INVALID: u8 = 2;
