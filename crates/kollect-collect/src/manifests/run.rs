//! Makes rows of manifests, through the intake that watches use.
//!
//! A set of manifests is a complete list of every kind: when all of it was read, every part of every target is known. A
//! part of a target with an object that failed, and every part when something could not be read, proves no absence.

use super::error::ManifestError;
use super::input::{Inputs, Item};
use super::object::{Peek, complete, identity_of};
use super::summary::{BadInput, InputPlace, Repeated, Strange, Summary};
use super::survey::Survey;
use crate::feed::Feed;
use crate::head::{BadHead, Head};
use crate::identity::derived_uid;
use crate::intake::Intake;
use crate::namespaces::FactsCell;
use crate::observe::CollectObserver;
use crate::plan::{Gvr, Reach};
use crate::target::TargetSpec;
use kollect_manifest::{LineColumn, ManifestItem};
use kollect_model::{Gvk, Uid};
use kollect_store::Store;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Collects from all manifests into the store. `home` is the namespace of objects that name none.
pub fn collect(
    inputs: &Inputs,
    survey: &Survey,
    home: &str,
    targets: &[TargetSpec],
    store: &Arc<Store>,
    observer: Arc<dyn CollectObserver>,
    cancel: &CancellationToken,
) -> Result<Summary, ManifestError> {
    let facts = FactsCell::default();
    facts.replace(survey.namespaces.clone());
    let feeds = Feeds::new(targets, survey, store);
    let intake = Intake::new(store.clone(), Arc::new(facts), observer);
    let mut run = Run { survey, home, feeds: &feeds, intake, summary: Summary::default(), seen: HashMap::new() };
    inputs.each(&mut |Item { file, found }| {
        match found {
            ManifestItem::Object { json, place } => run.object(json, file, place),
            ManifestItem::Fault(fault) => {
                let place = format!("{file}:{}", fault.place);
                run.summary.faults.add(BadInput { place, why: fault.what.to_string() });
            }
        }
        !cancel.is_cancelled()
    })?;
    let mut summary = run.summary;
    summary.faults.append(&inputs.unreadable());
    summary.faults.append(&survey.faults);
    feeds.complete(store);
    feeds.doubt(&summary, store);
    Ok(summary)
}

/// Where an object was, and the uid of its row.
struct Seen {
    file: Arc<str>,
    line: u64,
    uid: Uid,
}

struct Run<'a> {
    survey: &'a Survey,
    home: &'a str,
    feeds: &'a Feeds,
    intake: Intake,
    summary: Summary,
    seen: HashMap<[u8; 16], Seen>,
}

impl Run<'_> {
    fn object(&mut self, json: &str, file: &Arc<str>, place: LineColumn) {
        let at = || InputPlace { file: file.clone(), line: place.line };
        let peek = match Peek::read(json) {
            Ok(peek) => peek,
            Err(why) => return self.summary.strange.add(Strange { place: at(), why }),
        };
        let Some(feed) = self.feeds.of(&peek) else {
            self.summary.unwanted += 1;
            return;
        };
        self.summary.objects += 1;
        let gvk = peek.gvk();
        let mut head = match Head::read(json) {
            Ok(head) => head,
            Err(bad) => return self.refuse(feed, &gvk, *bad, &at()),
        };
        let shared_uid = self.survey.is_shared(&gvk, &head.uid);
        let whole = complete(json, &mut head, &gvk, feed.namespaced, self.home, shared_uid);
        self.note(feed, &gvk, &head, at());
        self.intake.upsert_read(feed, &head, &whole);
    }

    /// The object fails by as much of its name as can be read, and by its place.
    fn refuse(&mut self, feed: &Feed, gvk: &Gvk, mut bad: BadHead, at: &InputPlace) {
        let head = &mut bad.head;
        if feed.namespaced && bad.knows_namespace && head.namespace.is_empty() {
            head.namespace = self.home.to_owned().into();
        }
        if !feed.namespaced {
            head.namespace = String::new().into();
            bad.knows_namespace = true;
        }
        if head.name.is_empty() {
            head.name = at.to_string().into();
            // Several objects of one file may be without a name.
            head.uid = at.to_string().into();
        } else {
            if self.survey.is_shared(gvk, &head.uid) {
                head.uid = derived_uid(gvk, &head.namespace, &head.name).to_string().into();
            }
            bad.why = format!("{at}: {}", bad.why);
        }
        self.intake.unreadable(feed, &bad);
    }

    /// Of an object that came before, the last counts.
    fn note(&mut self, feed: &Feed, gvk: &Gvk, head: &Head<'_>, at: InputPlace) {
        let uid = Uid::parse(&head.uid);
        let now = Seen { file: at.file.clone(), line: at.line, uid };
        let Some(before) = self.seen.insert(identity_of(gvk, head, ""), now) else { return };
        if before.uid != Uid::parse(&head.uid) {
            self.intake.delete_uid(feed, &head.namespace, &before.uid);
        }
        let place = if head.namespace.is_empty() { String::new() } else { format!("{}/", head.namespace) };
        self.summary.repeated.add(Repeated {
            object: format!("{} {place}{}", gvk.kind, head.name),
            place: at,
            earlier: InputPlace { file: before.file, line: before.line },
        });
    }
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
            feed.set(&targets, store, &|_| BTreeSet::new(), &HashMap::new());
            feeds.entry((&*gvk.kind).into()).or_default().push((gvk.api_version().into(), Arc::new(feed)));
        }
        Self(feeds)
    }

    fn of(&self, peek: &Peek<'_>) -> Option<&Feed> {
        let feeds = self.0.get(&*peek.kind)?;
        feeds.iter().find(|(version, _)| **version == *peek.api_version).map(|(_, feed)| &**feed)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.0.values().flatten().map(|(_, feed)| feed)
    }

    fn complete(&self, store: &Store) {
        for feed in self.all() {
            feed.complete(&Reach::Cluster, None, feed.epoch(), &|_| true, store);
        }
    }

    /// What could not be read may be any object; what failed had a namespace.
    fn doubt(&self, summary: &Summary, store: &Store) {
        if summary.faults.count > 0 {
            let reason: Arc<str> = "not all manifests could be read".into();
            self.all().for_each(|feed| feed.lost(&Reach::Cluster, &reason, false, store));
            return;
        }
        for feed in self.all() {
            feed.lose_failed("an object failed", store);
        }
    }
}

/// Some specs name the core group.
fn plain(gvk: &Gvk) -> Gvk {
    if &*gvk.group == "core" { Gvk { group: Arc::default(), ..gvk.clone() } } else { gvk.clone() }
}
