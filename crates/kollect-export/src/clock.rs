//! The one place where the engine reads a clock. Everything else gets time as a value.

use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// A point in time: how long the engine has been running.
pub type Moment = Duration;

/// Reads the clocks of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts at zero.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Time since the start. Never goes back.
    pub fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// Sleeps until the moment.
    pub async fn sleep_until(&self, moment: Moment) {
        tokio::time::sleep_until(self.started + moment).await;
    }

    /// Wall time, for statuses.
    pub fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Wall time as documents carry it: RFC 3339 UTC.
    pub fn timestamp(&self) -> String {
        jiff::Timestamp::now().to_string()
    }
}
