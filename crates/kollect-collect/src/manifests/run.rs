//! Makes rows of manifests, through the intake that watches use.
//!
//! Separate from the survey, which must be done before. A set of manifests is a complete list of every kind: when it was
//! read to its end, every part of every target is known.

use super::error::ManifestError;
use super::input::Inputs;
use super::object::{Peek, complete};
use super::survey::Survey;
use crate::feed::Feed;
use crate::intake::Intake;
use crate::namespaces::FactsCell;
use crate::observe::CollectObserver;
use crate::plan::{Gvr, Reach};
use crate::target::TargetSpec;
use kollect_model::Gvk;
use kollect_store::Store;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What was in the manifests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects of kinds that a target collects.
    pub objects: u64,
    /// Objects of other kinds.
    pub unwanted: u64,
    /// Things that are no Kubernetes objects.
    pub strange: u64,
}

/// Collects from all manifests into the store. `home` is the namespace of objects that name none.
pub fn collect(
    inputs: &Inputs,
    survey: &Survey,
    home: &str,
    targets: &[TargetSpec],
    store: &Arc<Store>,
    observer: Arc<dyn CollectObserver>,
    cancel: &CancellationToken,
) -> Result<Counts, ManifestError> {
    let facts = FactsCell::default();
    facts.replace(survey.namespaces.clone());
    let feeds = Feeds::new(targets, survey, store);
    let mut intake = Intake::new(store.clone(), Arc::new(facts), observer);
    let mut counts = Counts::default();
    inputs.each(&mut |object| {
        match Peek::read(object) {
            None => counts.strange += 1,
            Some(peek) => match feeds.of(&peek) {
                None => counts.unwanted += 1,
                Some(feed) => {
                    counts.objects += 1;
                    intake.upsert(feed, &complete(object, &peek, feed.namespaced, home));
                }
            },
        }
        !cancel.is_cancelled()
    })?;
    feeds.complete(store);
    Ok(counts)
}

/// The versions of one kind, by `apiVersion`.
type Versions = Vec<(Box<str>, Arc<Feed>)>;

/// The targets by kind and `apiVersion` of the objects they want.
struct Feeds(HashMap<Box<str>, Versions>);

impl Feeds {
    fn new(targets: &[TargetSpec], survey: &Survey, store: &Store) -> Self {
        let mut groups: BTreeMap<Gvk, Vec<TargetSpec>> = BTreeMap::new();
        for target in targets {
            groups.entry(plain(&target.gvk)).or_default().push(target.clone());
        }
        let mut feeds: HashMap<Box<str>, Versions> = HashMap::new();
        for (gvk, targets) in groups {
            let gvr = Gvr::new(&gvk.group, &gvk.version, &gvk.kind.to_lowercase());
            let feed = Feed::new(gvr, gvk.clone(), survey.is_namespaced(&gvk));
            feed.set(&targets, store, &|_| BTreeSet::new());
            feeds.entry((&*gvk.kind).into()).or_default().push((gvk.api_version().into(), Arc::new(feed)));
        }
        Self(feeds)
    }

    fn of(&self, peek: &Peek<'_>) -> Option<&Feed> {
        let feeds = self.0.get(&*peek.kind)?;
        feeds.iter().find(|(version, _)| **version == *peek.api_version).map(|(_, feed)| &**feed)
    }

    fn complete(&self, store: &Store) {
        for (_, feed) in self.0.values().flatten() {
            feed.complete(&Reach::Cluster, None, feed.epoch(), &|_| true, store);
        }
    }
}

/// Some specs name the core group.
fn plain(gvk: &Gvk) -> Gvk {
    if &*gvk.group == "core" { Gvk { group: Arc::default(), ..gvk.clone() } } else { gvk.clone() }
}
