//! Lanes: bindings that one task writes together, and which of them are due.

use crate::clock::Moment;
use crate::contract::Sink;
use crate::contract::ids::BindingId;

/// What the bindings of a lane have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum LaneKey {
    /// Each row binding has its own lane.
    Binding(BindingId),
    /// File bindings share the lane that their sink names.
    Shared(String),
}

impl LaneKey {
    pub(crate) fn of(id: &BindingId, sink: &Sink) -> Self {
        match sink {
            Sink::Rows(_) => Self::Binding(id.clone()),
            Sink::Files(sink) => Self::Shared(sink.lane()),
        }
    }
}

/// Members to run now, and when the next one is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DueMembers<T> {
    pub(crate) now: Vec<T>,
    pub(crate) next: Option<Moment>,
}

impl<T> DueMembers<T> {
    /// Splits the members of a lane by their due time. All members that are due are written together.
    pub(crate) fn of(members: impl IntoIterator<Item = (T, Option<Moment>)>, now: Moment) -> Self {
        let mut result = Self { now: Vec::new(), next: None };
        for (member, due) in members {
            match due {
                Some(due) if due <= now => result.now.push(member),
                Some(due) => result.next = Some(result.next.map_or(due, |next| next.min(due))),
                None => {}
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn all_due_members_go_together_and_the_earliest_other_is_next() {
        let at = Duration::from_secs;
        let members = [("a", Some(at(5))), ("b", None), ("c", Some(at(9))), ("d", Some(at(3))), ("e", Some(at(7)))];
        assert_eq!(DueMembers::of(members, at(5)), DueMembers { now: vec!["a", "d"], next: Some(at(7)) });
        assert_eq!(DueMembers::of([("b", None)], at(5)), DueMembers { now: vec![], next: None });
    }
}
