//! What a terminal is to a command: colours, width, lines for people, progress bars.
//!
//! Commands write through `output` alone, which cleans what comes from objects, files, servers and arguments.

mod clean;
mod error;
mod escape;
mod line;
mod output;
pub mod progress;
mod report_format;
pub mod table;

pub use clean::{is_hostile, plain};
pub use error::chain;
pub use line::{ColorChoice, Line, Style};
pub use output::{LogWriter, Paper, Screen, is_shown, is_watched, print, print_json, print_lines, width};
pub use report_format::ReportFormat;
