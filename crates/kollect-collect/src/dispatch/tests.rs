//! Workers that end, panic and continue.

use super::*;
use crate::namespaces::facts::FactsCell;
use crate::observe::Unobserved;
use crate::plan::Gvr;
use crate::targets::resource_targets::ResourceTargets;
use kollect_model::Gvk;
use kollect_store::Store;
use std::sync::atomic::AtomicBool;

fn targets() -> Arc<ResourceTargets> {
    Arc::new(ResourceTargets::new(Gvr::new("", "v1", "configmaps"), Gvk::new("", "v1", "ConfigMap"), true))
}

fn intake(observer: &Arc<dyn CollectObserver>) -> Intake {
    Intake::new(Arc::new(Store::new()), Arc::<FactsCell>::default(), observer.clone())
}

fn dispatcher(observer: &Arc<dyn CollectObserver>) -> (Dispatcher, CancellationToken, TaskTracker) {
    let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
    let pool = WorkerPool { priority: Priority::Low, workers: 2, queue: 64, depth: Arc::default() };
    let started = Dispatcher::start(pool, observer, &cancel, &tasks, || intake(observer));
    tasks.close();
    (started.unwrap(), cancel, tasks)
}

fn unobserved() -> Arc<dyn CollectObserver> {
    Arc::new(Unobserved)
}

async fn put(dispatcher: &Dispatcher, targets: &Arc<ResourceTargets>, uid: &str) {
    let raw = format!(r#"{{"metadata":{{"name":"a","namespace":"n","uid":"{uid}"}}}}"#);
    dispatcher.object(targets, false, &Uid::parse(uid), &raw).await;
}

#[tokio::test]
async fn a_barrier_is_kept_when_everything_before_it_was_taken_in() {
    let (dispatcher, cancel, tasks) = dispatcher(&unobserved());
    for uid in 0..200 {
        put(&dispatcher, &targets(), &uid.to_string()).await;
    }
    assert!(dispatcher.barrier().await);
    assert_eq!((dispatcher.lost(), dispatcher.shared.depth.load(Ordering::Relaxed)), (0, 0));
    cancel.cancel();
    tasks.wait().await;
}

#[tokio::test]
async fn a_barrier_over_workers_that_have_ended_is_not_kept() {
    let (dispatcher, cancel, tasks) = dispatcher(&unobserved());
    let targets = targets();
    cancel.cancel();
    tasks.wait().await;
    put(&dispatcher, &targets, "1").await;
    assert!(!dispatcher.barrier().await, "the object before it was not taken in");
    assert_eq!(dispatcher.lost(), 1);
}

#[tokio::test]
async fn work_on_objects_runs_on_threads_of_its_own() {
    struct Names(Mutex<Vec<String>>);
    impl CollectObserver for Names {
        fn dispatched(&self, _: Duration) {
            self.0.lock().push(std::thread::current().name().unwrap_or_default().to_owned());
        }
    }
    let names = Arc::new(Names(Mutex::default()));
    let observer: Arc<dyn CollectObserver> = names.clone();
    let (dispatcher, _cancel, _tasks) = dispatcher(&observer);
    put(&dispatcher, &targets(), "1").await;
    assert!(dispatcher.barrier().await);
    let names = names.0.lock();
    assert!(names.len() == 1 && names[0].starts_with("intake-"), "{names:?}");
}

#[tokio::test]
async fn a_worker_that_panics_goes_on_and_the_list_that_was_under_way_is_not_complete() {
    #[derive(Default)]
    struct Once(AtomicBool);
    impl CollectObserver for Once {
        fn dispatched(&self, _: Duration) {
            assert!(self.0.swap(true, Ordering::SeqCst), "the first object");
        }
    }
    let observer: Arc<dyn CollectObserver> = Arc::new(Once::default());
    let (dispatcher, _cancel, _tasks) = dispatcher(&observer);
    let targets = targets();
    put(&dispatcher, &targets, "1").await;
    assert!(dispatcher.barrier().await, "the worker goes on");
    assert_eq!(dispatcher.lost(), 1);
    put(&dispatcher, &targets, "2").await;
    assert!(dispatcher.barrier().await);
    assert_eq!(dispatcher.lost(), 1);
}
