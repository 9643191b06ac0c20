//! `kollect man`: manual pages, made from the definition of the command line.

use crate::terminal::print;
use clap::{Args, Command};
use clap_mangen::Man;
use std::io;
use std::path::PathBuf;

/// Arguments of `kollect man`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  kollect man | man -l -\n  kollect man --dir /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Write one page per command into this directory; without it the first page goes to standard output
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// A page that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ManError {
    /// To the directory.
    #[error("writing manual pages to {}: {source}", dir.display())]
    Directory {
        /// Which.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// To standard output.
    #[error("writing a manual page: {0}")]
    Output(#[from] io::Error),
}

/// Writes the manual pages of a command line.
pub fn manual(args: &ManArgs, command: Command) -> Result<u8, ManError> {
    match &args.dir {
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command, dir))
            .map_err(|source| ManError::Directory { dir: dir.clone(), source })?,
        None => print(|out| Man::new(command).render(out))?,
    }
    Ok(super::OK)
}
