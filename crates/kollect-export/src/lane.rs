//! Lanes: bindings that are written together, by one task.
//!
//! Which of them are due is decided here, purely; the task is in `runner`.

use crate::{BindingId, Moment, Sink};

/// What bindings of one lane have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum LaneKey {
    /// A row binding has a lane of its own.
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

/// Members to run now, and when to look again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due<T> {
    pub(crate) now: Vec<T>,
    pub(crate) next: Option<Moment>,
}

/// Sorts the members of a lane by their due time. All that are due go out together.
pub(crate) fn due<T>(members: impl IntoIterator<Item = (T, Option<Moment>)>, now: Moment) -> Due<T> {
    let mut result = Due { now: Vec::new(), next: None };
    for (member, due) in members {
        match due {
            Some(due) if due <= now => result.now.push(member),
            Some(due) => result.next = Some(result.next.map_or(due, |next| next.min(due))),
            None => {}
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn all_due_members_go_together_and_the_earliest_other_decides_when_to_look_again() {
        let at = Duration::from_secs;
        let members = [("a", Some(at(5))), ("b", None), ("c", Some(at(9))), ("d", Some(at(3))), ("e", Some(at(7)))];
        assert_eq!(due(members, at(5)), Due { now: vec!["a", "d"], next: Some(at(7)) });
        assert_eq!(due([("b", None)], at(5)), Due { now: vec![], next: None });
    }
}
