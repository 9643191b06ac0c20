//! The suite passes for right sinks and finds wrong ones: the sinks in memory, with one fault each.

mod files;
mod remote;
mod rows;
mod wire;

use kollect_export::{AlwaysWrite, Cycle, SinkError};
use std::sync::atomic::{AtomicBool, Ordering};

/// Which clients may connect, and whether the server runs.
struct Door {
    open: AtomicBool,
}

impl Door {
    fn new() -> Self {
        Self { open: AtomicBool::new(true) }
    }

    fn set(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
    }

    fn enter(&self, credentials: bool) -> Result<(), SinkError> {
        if !self.open.load(Ordering::SeqCst) {
            return Err(SinkError::transient("connect", "nobody is there"));
        }
        if !credentials {
            return Err(SinkError::terminal("login", "refused"));
        }
        Ok(())
    }
}

/// The same cycle for a sink that never asks for the right to write.
fn unchecked<'a>(cycle: &Cycle<'a>) -> Cycle<'a> {
    Cycle { right: &AlwaysWrite, ..*cycle }
}
