//! The only place of this crate that reads a clock. Everything else gets time as a value.

use std::time::{Duration, SystemTime};

/// Time since boot, counting sleep: a suspended machine must not believe that its lease is still young.
pub fn boot_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Wall clock.
pub fn wall_time() -> SystemTime {
    SystemTime::now()
}

/// Wall clock as Kubernetes writes it: UTC, whole seconds.
pub fn timestamp() -> jiff::Timestamp {
    to_timestamp(wall_time())
}

/// Wall clock with the precision that a Lease wants.
pub fn precise_timestamp() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

const START_OF_2026: i64 = 1_767_225_600_000_000;
/// No clock is wrong by more. A backend of one team must not be able to use up the fences of all.
const HIGHEST_ABOVE_NOW: Duration = Duration::from_hours(24 * 365 * 10);

/// The fence of a writer that began at this time: microseconds since the beginning of 2026. Restarts are further apart than
/// that, so a later process has a higher one.
pub fn fence_of(began: jiff::Timestamp) -> u64 {
    u64::try_from(began.as_microsecond() - START_OF_2026).unwrap_or(0)
}

/// The time whose fence this is.
pub fn time_of(fence: u64) -> Option<jiff::Timestamp> {
    let micros = i64::try_from(fence).ok()?.checked_add(START_OF_2026)?;
    jiff::Timestamp::from_microsecond(micros).ok()
}

/// The highest fence that a leadership may continue above.
pub fn highest_fence(now: jiff::Timestamp) -> u64 {
    fence_of(now).saturating_add(u64::try_from(HIGHEST_ABOVE_NOW.as_micros()).unwrap_or(u64::MAX))
}

/// A wall-clock time in whole seconds.
pub fn to_timestamp(time: SystemTime) -> jiff::Timestamp {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0)).unwrap_or_default()
}
