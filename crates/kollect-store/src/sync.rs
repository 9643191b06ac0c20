//! The locks and the counter of the store: from `parking_lot` and the standard library, in unit tests from Shuttle.
//!
//! So the code that runs in production also runs under a scheduler that chooses the next thread at every lock and every
//! load. It depends on `cfg(test)` only: no feature to set.

#[cfg(not(test))]
pub(crate) use parking_lot::{Mutex, RwLock};
#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(test)]
pub(crate) use {
    scheduled::{Mutex, RwLock, alone, check},
    shuttle::sync::atomic::{AtomicU64, Ordering},
};

#[cfg(test)]
mod scheduled {
    use shuttle::scheduler::{RandomScheduler, Scheduler};
    use shuttle::sync::{self, MutexGuard, RwLockReadGuard, RwLockWriteGuard};
    use shuttle::{Config, Runner};

    /// Shuttle's lock with `parking_lot`'s signatures: no poison.
    #[derive(Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    /// Shuttle's lock with `parking_lot`'s signatures: no poison.
    #[derive(Default)]
    pub(crate) struct RwLock<T>(sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap()
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap()
        }
    }

    /// Runs the test once per schedule. The first one that fails is printed, for `shuttle::replay`.
    pub(crate) fn check(scheduler: impl Scheduler + 'static, test: impl Fn() + Send + Sync + 'static) {
        let mut config = Config::new();
        // Sufficient for an unoptimised build.
        config.stack_size = 512 * 1024;
        Runner::new(scheduler, config).run(test);
    }

    /// For tests with one thread: Shuttle's types work only inside one of its executions.
    pub(crate) fn alone(test: impl Fn() + Send + Sync + 'static) {
        check(RandomScheduler::new_from_seed(0, 1), test);
    }
}
