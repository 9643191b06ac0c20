//! Makes rows of manifests, through the intake that watches use.
//!
//! The manifests are a complete list of every kind: once all are read, every part of every target is listed. A part with
//! an object that failed, and every part while any manifest cannot be read, proves no absence.

use super::error::ManifestError;
use super::input::{InputItem, Inputs};
use super::object::{ManifestHeader, complete_object, identity_of};
use super::summary::{BadInput, InputPlace, ManifestSummary, NonObject, RepeatedObject};
use super::survey::Survey;
use crate::identity::derived_uid;
use crate::intake::Intake;
use crate::namespaces::facts::FactsCell;
use crate::object_head::{ObjectHead, UnreadableHead};
use crate::observe::CollectObserver;
use crate::plan::{Gvr, Reach};
use crate::targets::resource_targets::ResourceTargets;
use crate::targets::spec::TargetSpec;
use kollect_manifest::{LineColumn, ManifestItem};
use kollect_model::{Gvk, Uid};
use kollect_store::Store;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Collects from all manifests into the store. `default_namespace` is that of objects that name none.
pub fn collect(
    inputs: &Inputs,
    survey: &Survey,
    default_namespace: &str,
    targets: &[TargetSpec],
    store: &Arc<Store>,
    observer: Arc<dyn CollectObserver>,
    cancel: &CancellationToken,
) -> Result<ManifestSummary, ManifestError> {
    let facts = FactsCell::default();
    facts.replace(survey.namespaces.clone());
    let by_kind = TargetsByKind::new(targets, survey, store);
    let intake = Intake::new(store.clone(), Arc::new(facts), observer);
    let mut run = ManifestRun {
        survey,
        default_namespace,
        by_kind: &by_kind,
        intake,
        summary: ManifestSummary::default(),
        seen: HashMap::new(),
    };
    inputs.each(&mut |InputItem { file, found }| {
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
    by_kind.mark_listed(store);
    by_kind.mark_unread_lost(&summary, store);
    Ok(summary)
}

/// Where an object was, and the uid of its row.
struct Seen {
    file: Arc<str>,
    line: u64,
    uid: Uid,
}

struct ManifestRun<'a> {
    survey: &'a Survey,
    default_namespace: &'a str,
    by_kind: &'a TargetsByKind,
    intake: Intake,
    summary: ManifestSummary,
    seen: HashMap<[u8; 16], Seen>,
}

impl ManifestRun<'_> {
    fn object(&mut self, json: &str, file: &Arc<str>, place: LineColumn) {
        let at = || InputPlace { file: file.clone(), line: place.line };
        let header = match ManifestHeader::read(json) {
            Ok(header) => header,
            Err(why) => return self.summary.strange.add(NonObject { place: at(), why }),
        };
        let Some(targets) = self.by_kind.of(&header) else {
            self.summary.unwanted += 1;
            return;
        };
        self.summary.objects += 1;
        let gvk = header.gvk();
        let mut head = match ObjectHead::read(json) {
            Ok(head) => head,
            Err(bad) => return self.refuse(targets, &gvk, *bad, &at()),
        };
        let shared_uid = self.survey.is_shared(&gvk, &head.uid);
        let whole = complete_object(json, &mut head, &gvk, targets.namespaced, self.default_namespace, shared_uid);
        self.note(targets, &gvk, &head, at());
        self.intake.upsert_read(targets, &head, &whole);
    }

    /// Reports an object without readable metadata by as much of its name as can be read, and by its place.
    fn refuse(&mut self, targets: &ResourceTargets, gvk: &Gvk, mut bad: UnreadableHead, at: &InputPlace) {
        let head = &mut bad.head;
        if targets.namespaced && bad.knows_namespace && head.namespace.is_empty() {
            head.namespace = self.default_namespace.to_owned().into();
        }
        if !targets.namespaced {
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
        self.intake.unreadable(targets, &bad);
    }

    /// Records the object. Of several with one identity, the last counts.
    fn note(&mut self, targets: &ResourceTargets, gvk: &Gvk, head: &ObjectHead<'_>, at: InputPlace) {
        let uid = Uid::parse(&head.uid);
        let now = Seen { file: at.file.clone(), line: at.line, uid };
        let Some(before) = self.seen.insert(identity_of(gvk, head, ""), now) else { return };
        if before.uid != Uid::parse(&head.uid) {
            self.intake.delete_uid(targets, &head.namespace, &before.uid);
        }
        let place = if head.namespace.is_empty() { String::new() } else { format!("{}/", head.namespace) };
        self.summary.repeated.add(RepeatedObject {
            object: format!("{} {place}{}", gvk.kind, head.name),
            place: at,
            earlier: InputPlace { file: before.file, line: before.line },
        });
    }
}

/// The targets of one kind, by `apiVersion`.
type Versions = Vec<(Box<str>, Arc<ResourceTargets>)>;

/// The targets by the kind and `apiVersion` of the objects that they want.
struct TargetsByKind(HashMap<Box<str>, Versions>);

impl TargetsByKind {
    fn new(targets: &[TargetSpec], survey: &Survey, store: &Store) -> Self {
        let mut groups: BTreeMap<Gvk, Vec<TargetSpec>> = BTreeMap::new();
        for target in targets {
            groups.entry(with_core_group(&target.gvk)).or_default().push(target.clone());
        }
        let mut by_kind: HashMap<Box<str>, Versions> = HashMap::new();
        for (gvk, targets) in groups {
            let gvr = Gvr::new(&gvk.group, &gvk.version, &gvk.kind.to_lowercase());
            let resource = ResourceTargets::new(gvr, gvk.clone(), survey.is_namespaced(&gvk));
            resource.set(&targets, store, &|_| BTreeSet::new(), &HashMap::new());
            by_kind.entry((&*gvk.kind).into()).or_default().push((gvk.api_version().into(), Arc::new(resource)));
        }
        Self(by_kind)
    }

    fn of(&self, header: &ManifestHeader<'_>) -> Option<&ResourceTargets> {
        let by_kind = self.0.get(&*header.kind)?;
        by_kind.iter().find(|(version, _)| **version == *header.api_version).map(|(_, targets)| &**targets)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<ResourceTargets>> {
        self.0.values().flatten().map(|(_, targets)| targets)
    }

    fn mark_listed(&self, store: &Store) {
        for targets in self.all() {
            targets.mark_listed(&Reach::Cluster, None, targets.epoch(), &|_| true, store);
        }
    }

    /// An unreadable manifest may hold any object; an object that failed has a namespace.
    fn mark_unread_lost(&self, summary: &ManifestSummary, store: &Store) {
        if summary.faults.count > 0 {
            let reason: Arc<str> = "not all manifests could be read".into();
            self.all().for_each(|targets| targets.mark_lost(&Reach::Cluster, &reason, false, store));
            return;
        }
        for targets in self.all() {
            targets.mark_failed_lost("an object failed", store);
        }
    }
}

/// Specs may name the core group.
fn with_core_group(gvk: &Gvk) -> Gvk {
    if &*gvk.group == "core" { Gvk { group: Arc::default(), ..gvk.clone() } } else { gvk.clone() }
}
