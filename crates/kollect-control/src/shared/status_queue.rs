//! Which status is written when. Pure: time comes in as a value.
//!
//! At most one wish and one write per object. Everything known of an object belongs to its uid: a recreated object of the
//! same name starts anew.

use kollect_resources::kinds::ObjectRef;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// Least time between two status writes of one object that report no change of health.
pub const QUIET_PERIOD: Duration = Duration::from_secs(10);

/// A status to write.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusUpdate {
    /// The whole status.
    pub status: Value,
    /// Changes when the object's health turns; such a change is written at once.
    pub health: String,
}

/// One write that is due.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) object: ObjectRef,
    pub(super) uid: Option<String>,
    desired: StatusUpdate,
    /// The status with an explicit null for every field that went away.
    pub(super) status: Value,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteResult {
    Written,
    /// The object does not exist any more.
    Gone,
    Failed,
}

#[derive(Debug, Default)]
struct PendingStatus {
    uid: Option<String>,
    pending: Option<StatusUpdate>,
    written: Option<StatusUpdate>,
    last_write: Option<Instant>,
    not_before: Option<Instant>,
    failures: u32,
    busy: bool,
    /// What the object still carried although the wanted status was written. It is written again once per such state:
    /// an older CRD drops fields, and no repetition changes that.
    ineffective: Option<Value>,
    /// Every top-level field that the object's status ever had here: a merge patch removes only what it names.
    fields: BTreeSet<String>,
}

/// The wishes and writes of all objects.
#[derive(Debug, Default)]
pub(super) struct StatusQueue {
    slots: HashMap<ObjectRef, PendingStatus>,
}

impl StatusQueue {
    /// What is wanted or was last written on the object with this uid.
    pub(super) fn newest(&self, object: &ObjectRef, uid: Option<&str>) -> Option<&Value> {
        let slot = self.slots.get(object).filter(|slot| slot.uid.as_deref() == uid)?;
        slot.pending.as_ref().or(slot.written.as_ref()).map(|desired| &desired.status)
    }

    /// Wants a status on an object that carries `present`, as far as its watch has shown. `true` if it must be written.
    pub(super) fn submit(
        &mut self,
        object: &ObjectRef,
        uid: Option<&str>,
        desired: StatusUpdate,
        present: &Value,
        now: Instant,
    ) -> bool {
        let slot = self.slots.entry(object.clone()).or_default();
        if slot.uid.as_deref() != uid {
            *slot = PendingStatus { uid: uid.map(str::to_owned), ..PendingStatus::default() };
        }
        let fields = [present, &desired.status].into_iter().filter_map(Value::as_object);
        slot.fields.extend(fields.flat_map(|object| object.keys().cloned()));
        let written = slot.written.as_ref().is_some_and(|written| same(&written.status, &desired.status));
        let stands = same(present, &desired.status);
        // For a while after a write the watch may still show the status before it.
        let fresh = slot.last_write.is_some_and(|last| now < last + QUIET_PERIOD);
        let ineffective = written && slot.ineffective.as_ref() == Some(present);
        if !slot.busy && if fresh { written } else { stands || ineffective } {
            slot.pending = None;
            slot.written = Some(desired);
            return false;
        }
        if written && !fresh && !slot.busy {
            slot.ineffective = Some(present.clone());
        }
        slot.pending = Some(desired);
        true
    }

    /// Forgets an object that is gone.
    pub(super) fn forget(&mut self, object: &ObjectRef) {
        self.slots.remove(object);
    }

    /// The writes to begin now, and when to ask again.
    pub(super) fn due(&mut self, now: Instant) -> (Vec<Write>, Option<Instant>) {
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        for (object, slot) in &mut self.slots {
            let Some(pending) = slot.pending.as_ref().filter(|_| !slot.busy) else { continue };
            let turned = slot.written.as_ref().is_none_or(|written| written.health != pending.health);
            let spaced = if turned { None } else { slot.last_write.map(|last| last + QUIET_PERIOD) };
            match spaced.max(slot.not_before) {
                Some(when) if when > now => next = Some(next.map_or(when, |next| next.min(when))),
                _ => {
                    slot.busy = true;
                    due.push(Write {
                        object: object.clone(),
                        uid: slot.uid.clone(),
                        status: complete(&slot.fields, &pending.status),
                        desired: pending.clone(),
                    });
                }
            }
        }
        (due, next)
    }

    /// Takes note of the end of a write. `jitter` is between 0 and 1.
    pub(super) fn ended(&mut self, write: Write, result: WriteResult, jitter: f64, now: Instant) {
        let Some(slot) = self.slots.get_mut(&write.object).filter(|slot| slot.uid == write.uid) else { return };
        slot.busy = false;
        match result {
            WriteResult::Gone => {
                self.slots.remove(&write.object);
            }
            WriteResult::Written => {
                if slot.pending.as_ref() == Some(&write.desired) {
                    slot.pending = None;
                }
                slot.written = Some(write.desired);
                slot.last_write = Some(now);
                slot.failures = 0;
                slot.not_before = None;
            }
            WriteResult::Failed => {
                slot.failures = slot.failures.saturating_add(1);
                let pause = Duration::from_secs(1 << slot.failures.min(5)).mul_f64(0.5 + jitter / 2.0);
                slot.not_before = Some(now + pause);
            }
        }
    }
}

/// Whether two statuses are equal; a null field is an absent one.
fn same(a: &Value, b: &Value) -> bool {
    let fields =
        |value: &Value| value.as_object().cloned().unwrap_or_default().into_iter().filter(|(_, v)| !v.is_null());
    fields(a).eq(fields(b))
}

fn complete(fields: &BTreeSet<String>, status: &Value) -> Value {
    let mut all: serde_json::Map<String, Value> = fields.iter().map(|f| (f.clone(), Value::Null)).collect();
    if let Some(wanted) = status.as_object() {
        all.extend(wanted.clone());
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kollect_resources::kinds::{Kind, NamespacedName};
    use serde_json::json;

    fn profile() -> ObjectRef {
        ObjectRef::new(Kind::Profile, &NamespacedName::new("team", "pods"))
    }

    fn wanted(reason: &str) -> StatusUpdate {
        StatusUpdate { status: json!({"reason": reason}), health: reason.to_owned() }
    }

    /// Submits for the object with this uid; the statuses that are written then.
    fn submitted(
        queue: &mut StatusQueue,
        uid: &str,
        desired: StatusUpdate,
        present: &Value,
        now: Instant,
    ) -> Vec<Write> {
        queue.submit(&profile(), Some(uid), desired, present, now);
        queue.due(now).0
    }

    fn write_all(queue: &mut StatusQueue, writes: Vec<Write>, now: Instant) -> usize {
        let count = writes.len();
        for write in writes {
            queue.ended(write, WriteResult::Written, 0.0, now);
        }
        count
    }

    #[test]
    fn an_object_that_was_recreated_under_its_name_gets_its_status_again() {
        let (mut queue, now) = (StatusQueue::default(), Instant::now());
        let first = submitted(&mut queue, "1", wanted("Compiled"), &Value::Null, now);
        assert_eq!(write_all(&mut queue, first, now), 1);
        assert!(submitted(&mut queue, "1", wanted("Compiled"), &Value::Null, now).is_empty(), "the watch lags behind");
        assert_eq!(queue.newest(&profile(), Some("2")), None, "nothing of the old object counts for the new one");
        let again = submitted(&mut queue, "2", wanted("Compiled"), &Value::Null, now);
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].uid.as_deref(), Some("2"));
    }

    #[test]
    fn the_end_of_a_write_to_the_old_object_does_not_count_for_the_new_one() {
        let (mut queue, now) = (StatusQueue::default(), Instant::now());
        let old = submitted(&mut queue, "1", wanted("Compiled"), &Value::Null, now);
        let new = submitted(&mut queue, "2", wanted("Compiled"), &Value::Null, now);
        write_all(&mut queue, old, now);
        assert_eq!(write_all(&mut queue, new, now), 1);
        assert!(submitted(&mut queue, "2", wanted("Compiled"), &json!({"reason": "Compiled"}), now).is_empty());
    }

    #[test]
    fn a_status_that_was_wiped_is_written_again_but_not_one_that_the_server_does_not_keep() {
        let (mut queue, start) = (StatusQueue::default(), Instant::now());
        let first = submitted(&mut queue, "1", wanted("Compiled"), &Value::Null, start);
        write_all(&mut queue, first, start);
        let mut now = start + QUIET_PERIOD;
        assert!(submitted(&mut queue, "1", wanted("Compiled"), &json!({"reason": "Compiled"}), now).is_empty());
        let again = submitted(&mut queue, "1", wanted("Compiled"), &Value::Null, now);
        assert_eq!(write_all(&mut queue, again, now), 1);
        for _ in 0..3 {
            now += QUIET_PERIOD;
            assert!(submitted(&mut queue, "1", wanted("Compiled"), &Value::Null, now).is_empty(), "no use");
        }
    }

    #[test]
    fn an_equal_status_is_not_written_and_a_null_is_absent() {
        let (mut queue, now) = (StatusQueue::default(), Instant::now());
        let desired = StatusUpdate { status: json!({"reason": "Compiled", "error": null}), health: String::new() };
        assert!(submitted(&mut queue, "1", desired, &json!({"reason": "Compiled"}), now).is_empty());
    }

    #[test]
    fn an_update_that_returns_to_the_present_status_while_another_is_written_is_written_after_it() {
        let (mut queue, now) = (StatusQueue::default(), Instant::now());
        let present = json!({"reason": "Compiled"});
        let broken = submitted(&mut queue, "1", wanted("InvalidPath"), &present, now);
        assert_eq!(broken.len(), 1);
        assert!(submitted(&mut queue, "1", wanted("Compiled"), &present, now).is_empty(), "one write at a time");
        write_all(&mut queue, broken, now);
        let last = queue.due(now).0;
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].status, present);
    }

    #[test]
    fn a_failed_write_is_repeated_later_and_a_turn_of_health_does_not_wait() {
        let (mut queue, now) = (StatusQueue::default(), Instant::now());
        let first = submitted(&mut queue, "1", wanted("Compiled"), &Value::Null, now).remove(0);
        queue.ended(first, WriteResult::Failed, 0.0, now);
        let (due, next) = queue.due(now);
        assert!(due.is_empty());
        let next = next.expect("a time");
        let due = queue.due(next).0;
        assert_eq!(write_all(&mut queue, due, next), 1);
        let turned = submitted(&mut queue, "1", wanted("InvalidPath"), &Value::Null, next);
        assert_eq!(write_all(&mut queue, turned, next), 1);
        let same_health = StatusUpdate { status: json!({"reason": "x"}), health: "InvalidPath".to_owned() };
        assert!(submitted(&mut queue, "1", same_health, &Value::Null, next).is_empty());
        assert_eq!(queue.due(next + QUIET_PERIOD).0.len(), 1);
    }
}
