//! Views that change, deletions that are proven, tombstones that go.

use crate::reader::{Reader, key, row};
use kollect_model::{Cause, RowId, TargetKey, Uid, Version};
use kollect_store::{
    Changes, ChangesQuery, Coverage, Dedupe, HeldRowState, NamespaceFilter, PartState, Store, StoreObserver, View,
    WantedParts,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

fn wanted(namespaces: &[&str]) -> WantedParts {
    WantedParts::Namespaces(Arc::new(namespaces.iter().map(|n| Arc::from(*n)).collect()))
}

fn only(namespaces: &[&str]) -> NamespaceFilter {
    NamespaceFilter::Only(Arc::new(namespaces.iter().map(|n| Arc::from(*n)).collect()))
}

fn store_with(targets: &[&str], namespaces: &[&str]) -> Store {
    let store = Store::new();
    for target in targets {
        store.ensure_target(&key(target));
        store.set_wanted(&key(target), wanted(namespaces));
    }
    store
}

const TARGETS: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 3] = ["one", "two", "three"];

fn random_view(random: &mut fastrand::Rng, dedupe: Dedupe) -> View {
    let targets = TARGETS.iter().filter(|_| random.bool()).map(|target| key(target)).collect();
    let filter = if random.bool() {
        NamespaceFilter::All
    } else {
        only(&NAMESPACES.iter().copied().filter(|_| random.bool()).collect::<Vec<_>>())
    };
    View::new(targets, filter, dedupe)
}

fn random_step(store: &Store, random: &mut fastrand::Rng) {
    let target = TARGETS[random.usize(..3)];
    // A UID always has the same namespace, as in Kubernetes.
    let uid = random.usize(..12);
    let namespace = NAMESPACES[uid % 3];
    match random.u8(..10) {
        0..6 => drop(store.upsert(row(target, namespace, &uid.to_string(), random.u64(..4)))),
        6..9 => drop(store.remove(&key(target), &Uid::parse(&uid.to_string()), Cause::Observed)),
        _ => store.set_wanted(&key(target), wanted(&NAMESPACES[..random.usize(1..=3)])),
    }
}

#[test]
fn a_reader_of_changing_views_always_ends_with_exactly_the_rows_of_its_view() {
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut between = random.fork();
        let dedupe = if seed % 2 == 0 { Dedupe::KeepAll } else { Dedupe::ByResourceUid };
        let store = store_with(&TARGETS, &NAMESPACES);
        let mut reader = Reader::new();
        let mut view = random_view(&mut random, dedupe);
        for step in 0..40 {
            for _ in 0..random.usize(..20) {
                random_step(&store, &mut random);
            }
            if random.u8(..4) == 0 {
                view = random_view(&mut random, dedupe);
            }
            let limit = random.usize(1..8);
            // The store also changes between pages; then one more round is needed to be level.
            let mut budget = 6;
            reader.catch_up(&store, &view, limit, || {
                if budget > 0 {
                    budget -= 1;
                    random_step(&store, &mut between);
                }
            });
            reader.catch_up(&store, &view, limit, || {});
            reader.assert_has(&store, &view, &format!("seed {seed}, step {step}"));
        }
    }
}

#[test]
fn nothing_is_reported_twice_to_a_reader_that_is_level() {
    let store = store_with(&["a"], &["one"]);
    store.upsert(row("a", "one", "1", 1));
    let view = View::of(vec![key("a")]);
    let mut reader = Reader::new();
    reader.catch_up(&store, &view, 10, || {});
    assert_eq!(reader.applied, 1);
    store.upsert(row("a", "one", "1", 1));
    reader.catch_up(&store, &view, 10, || {});
    assert_eq!(reader.applied, 1);
}

#[test]
fn a_row_that_a_sink_holds_is_gone_only_on_evidence() {
    let store = store_with(&["a", "b"], &["synced", "lost", "pending"]);
    store.complete_list(&key("a"), Some("synced"), &|_| true);
    store.set_coverage(&key("a"), "lost", Coverage::Lost("403".into()));
    store.upsert(row("a", "lost", "here", 1));
    store.upsert(row("a", "lost", "deleted", 1));
    store.remove(&key("a"), &Uid::parse("deleted"), Cause::Observed);
    let view = View::new(vec![key("a")], only(&["synced", "lost", "pending", "outside"]), Dedupe::KeepAll);
    let held_row_state = |target: &str, namespace: &str, uid: &str| {
        store.held_row_state(&view, &RowId { target: key(target), uid: Uid::parse(uid) }, namespace)
    };
    assert_eq!(held_row_state("a", "synced", "x"), HeldRowState::Gone(Cause::Absent));
    assert_eq!(held_row_state("a", "lost", "x"), HeldRowState::Unproven);
    assert_eq!(held_row_state("a", "pending", "x"), HeldRowState::Unproven);
    assert_eq!(held_row_state("a", "outside", "x"), HeldRowState::Gone(Cause::SpecChanged));
    assert_eq!(held_row_state("a", "filtered", "x"), HeldRowState::Gone(Cause::SpecChanged));
    assert_eq!(held_row_state("b", "synced", "x"), HeldRowState::Gone(Cause::SpecChanged));
    assert_eq!(held_row_state("a", "lost", "deleted"), HeldRowState::Gone(Cause::Observed));
    assert!(matches!(held_row_state("a", "lost", "here"), HeldRowState::Present { .. }));
    assert!(!store.ready(&view));
    store.set_coverage(&key("a"), "pending", Coverage::Lost("down".into()));
    assert!(store.ready(&view));
    let unknown = View::of(vec![key("never-ensured")]);
    assert!(!store.ready(&unknown));
    assert_eq!(
        store.held_row_state(&unknown, &RowId { target: key("never-ensured"), uid: "x".into() }, "one"),
        HeldRowState::Unproven
    );
}

#[test]
fn a_loser_of_dedupe_is_gone_as_soon_as_the_winner_is_there() {
    let store = store_with(&["a", "b"], &["one"]);
    let view = View::new(vec![key("b"), key("a")], NamespaceFilter::All, Dedupe::ByResourceUid);
    store.upsert(row("a", "one", "1", 1));
    let loser = RowId { target: key("a"), uid: "1".into() };
    assert!(matches!(store.held_row_state(&view, &loser, "one"), HeldRowState::Present { .. }));
    store.upsert(row("b", "one", "1", 1));
    assert_eq!(store.held_row_state(&view, &loser, "one"), HeldRowState::Gone(Cause::SpecChanged));
    assert_eq!(store.counts(&view), 1);
    assert_eq!(&*store.snapshot(&view)[0].id.target.name, "b");
}

#[test]
fn counts_and_checksum_follow_the_filter() {
    let store = store_with(&["a", "b"], &["one", "two"]);
    for (target, namespace, uid) in [("a", "one", "1"), ("a", "two", "2"), ("b", "one", "3")] {
        store.upsert(row(target, namespace, uid, 1));
    }
    let view = |filter| View::new(vec![key("a"), key("b")], filter, Dedupe::KeepAll);
    assert_eq!(store.counts(&view(NamespaceFilter::All)), 3);
    assert_eq!(store.counts(&view(only(&["one"]))), 2);
    assert_eq!((store.rows(), store.target_rows(&key("a"))), (3, 2));
    let before = store.checksum(&view(only(&["one"])));
    store.upsert(row("a", "two", "2", 5));
    assert_eq!(store.checksum(&view(only(&["one"]))), before);
    store.upsert(row("a", "one", "1", 5));
    assert_ne!(store.checksum(&view(only(&["one"]))), before);
}

#[test]
fn tombstones_live_as_long_as_a_known_cursor_needs_them_and_an_old_cursor_becomes_unknown() {
    let store = store_with(&["a"], &["one"]);
    let view = View::of(vec![key("a")]);
    let reader = store.register_reader();
    store.upsert(row("a", "one", "1", 1));
    let before = store.cut();
    store.advance_reader(reader, before, &view);
    store.remove(&key("a"), &Uid::parse("1"), Cause::Observed);
    store.advance_reader(reader, before, &view);
    let ask = |since| {
        let query =
            ChangesQuery { old: &view, since, new: &view, began: since, after: Version(0), limit: 10, skip: None };
        store.changes(&query)
    };
    assert!(matches!(ask(before), Changes::Delta { changes, .. } if changes.len() == 1));
    store.advance_reader(reader, store.cut(), &view);
    assert!(matches!(ask(before), Changes::Unknown));
    assert!(matches!(ask(store.cut()), Changes::Delta { changes, .. } if changes.is_empty()));
}

#[test]
fn a_removed_target_goes_when_its_last_reader_has_passed() {
    let store = store_with(&["a"], &["one"]);
    let view = View::of(vec![key("a")]);
    store.upsert(row("a", "one", "1", 1));
    let mut reader = Reader::new();
    reader.catch_up(&store, &view, 10, || {});
    let id = store.register_reader();
    store.advance_reader(id, store.cut(), &view);
    store.remove_target(&key("a"));
    assert_eq!(store.part_state(&key("a"), "one"), PartState::Outside);
    assert!(!store.upsert(row("a", "one", "1", 1)), "nothing comes back into a removed target");
    reader.catch_up(&store, &view, 10, || {});
    assert!(reader.copy.is_empty());
    store.advance_reader(id, store.cut(), &view);
    assert_eq!(store.part_state(&key("a"), "one"), PartState::Pending, "the shard is gone, so nothing is known");
    store.ensure_target(&key("a"));
    assert!(store.upsert(row("a", "one", "1", 1)));
}

#[derive(Default)]
struct Counting {
    changes: AtomicUsize,
    row_counts: AtomicUsize,
}

impl StoreObserver for Counting {
    fn changed(&self, _: &TargetKey) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    fn row_count_changed(&self, _: &TargetKey) {
        self.row_counts.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn observers_are_called_for_real_changes_only() {
    let store = store_with(&["a"], &["one"]);
    let observer = Arc::new(Counting::default());
    let weak: Weak<Counting> = Arc::downgrade(&observer);
    store.observe(weak);
    store.upsert(row("a", "one", "1", 1));
    store.upsert(row("a", "one", "1", 1));
    store.set_coverage(&key("a"), "one", Coverage::Synced);
    store.set_coverage(&key("a"), "one", Coverage::Synced);
    store.remove(&key("a"), &Uid::parse("1"), Cause::Observed);
    store.remove(&key("a"), &Uid::parse("1"), Cause::Observed);
    assert_eq!(observer.changes.load(Ordering::SeqCst), 3);
    assert_eq!(observer.row_counts.load(Ordering::SeqCst), 2);
    store.upsert(row("a", "one", "2", 1));
    store.upsert(row("a", "one", "2", 2));
    assert_eq!(observer.changes.load(Ordering::SeqCst), 5);
    assert_eq!(observer.row_counts.load(Ordering::SeqCst), 3, "another content is not another count");
}

#[test]
fn a_target_that_is_shed_gives_its_memory_back_and_sinks_keep_what_they_hold_of_it() {
    let store = store_with(&["a", "b"], &["one"]);
    for uid in 0..100 {
        store.upsert(row("a", "one", &format!("a{uid}"), 1));
        store.upsert(row("b", "one", &format!("b{uid}"), 1));
    }
    store.complete_list(&key("a"), None, &|_| true);
    store.complete_list(&key("b"), None, &|_| true);
    let view = View::of(vec![key("a"), key("b")]);
    let cursor = store.cut();
    let (both, one) = (store.bytes(), store.target_bytes(&key("a")));
    assert_eq!(both, one + store.target_bytes(&key("b")));
    assert!((25_000..40_000).contains(&one), "{one}");

    store.shed(&key("b"), &"no room".into());
    assert_eq!((store.bytes(), store.target_rows(&key("b"))), (one, 0));
    let held = RowId { target: key("b"), uid: Uid::parse("b7") };
    assert_eq!(store.held_row_state(&view, &held, "one"), HeldRowState::Unproven);
    assert!(!store.upsert(row("b", "one", "b7", 2)), "a late row proves nothing");
    let (began, after) = (store.cut(), Version(0));
    let query = ChangesQuery { old: &view, since: cursor, new: &view, began, after, limit: 100, skip: None };
    let after = store.changes(&query);
    assert!(matches!(after, Changes::Unknown), "a sink has to compare, and is told of no deletion");

    store.set_wanted(&key("b"), wanted(&["one"]));
    assert_eq!(store.part_state(&key("b"), "one"), PartState::Pending);
    assert!(store.upsert(row("b", "one", "b7", 2)));
    store.remove_target(&key("a"));
    store.remove_target(&key("b"));
    assert_eq!(store.bytes(), 0);
}

#[test]
fn a_cluster_scoped_row_is_not_gone_because_a_target_of_unknown_scope_wants_namespaces() {
    let store = store_with(&["a"], &["one", "two"]);
    let (view, id) = (View::of(vec![key("a")]), RowId { target: key("a"), uid: Uid::parse("u") });
    assert_eq!(store.held_row_state(&view, &id, ""), HeldRowState::Unproven);
    for namespace in ["one", "two"] {
        store.set_coverage(&key("a"), namespace, Coverage::Lost("not served".into()));
        assert_eq!(store.held_row_state(&view, &id, ""), HeldRowState::Unproven);
    }
    assert_eq!(store.part_state(&key("a"), ""), PartState::Lost("not served".into()));
    assert_eq!(store.held_row_state(&view, &id, "three"), HeldRowState::Gone(Cause::SpecChanged));
    store.complete_list(&key("a"), Some("one"), &|_| true);
    assert_eq!(store.held_row_state(&view, &id, ""), HeldRowState::Gone(Cause::SpecChanged), "the kind has namespaces");
}

#[test]
fn rows_of_a_cluster_scoped_kind_stay_until_a_list_shows_that_it_has_namespaces() {
    let store = store_with(&["a"], &[]);
    store.set_wanted(&key("a"), WantedParts::ClusterScoped);
    store.upsert(row("a", "", "u", 1));
    store.complete_list(&key("a"), None, &|_| true);
    store.set_wanted(&key("a"), wanted(&["one"]));
    assert_eq!(store.target_rows(&key("a")), 1);
    store.set_wanted(&key("a"), WantedParts::ClusterScoped);
    assert_eq!(store.part_state(&key("a"), ""), PartState::Pending, "what went unseen has to be listed again");
    store.set_wanted(&key("a"), wanted(&["one"]));
    store.complete_list(&key("a"), Some("one"), &|_| true);
    assert_eq!(store.target_rows(&key("a")), 0);
}

#[test]
fn a_target_whose_namespaces_are_not_known_is_one_part_without_a_namespace() {
    let store = store_with(&["a"], &["one"]);
    let view = View::of(vec![key("a")]);
    store.set_wanted(&key("a"), WantedParts::Unknowable("no profile".into()));
    let [(_, namespace, state)] = &store.parts(&view)[..] else { panic!() };
    assert_eq!((namespace, state), (&None, &PartState::Lost("no profile".into())));
    assert!(!store.knows_namespaces(&key("a")));
}

#[test]
fn counts_and_checksums_of_deduped_views_are_those_of_their_rows_whatever_happens() {
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let store = store_with(&TARGETS, &NAMESPACES);
        let views: Vec<View> = (0..3).map(|_| random_view(&mut random, Dedupe::ByResourceUid)).collect();
        for _ in 0..80 {
            for _ in 0..random.usize(..4) {
                random_step(&store, &mut random);
            }
            if random.u8(..20) == 0 {
                let target = key(TARGETS[random.usize(..3)]);
                store.remove_target(&target);
                if random.bool() {
                    store.ensure_target(&target);
                    store.set_wanted(&target, wanted(&NAMESPACES));
                }
            }
            let view = &views[random.usize(..3)];
            let rows = store.snapshot(view);
            let mut sum = kollect_store::SetHash::default();
            for row in &rows {
                sum.add(kollect_store::SetHash::of(row));
            }
            assert_eq!((store.counts(view), store.checksum(view)), (rows.len() as u64, sum), "seed {seed}");
        }
    }
}
