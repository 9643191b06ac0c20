//! What removing the data of one binding means for the bindings that stay.
//!
//! Row sinks own rows by cluster and inventory, so two references of one inventory can own the same rows.

use crate::{BindingSpec, Sink};

/// How the removal of a binding's data concerns a binding that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// It owns the same rows: they must stay, and it compares.
    Rows,
    /// It may own the same rows under another name of the backend: it compares afterwards.
    Perhaps,
    /// It may have been refused a path that is free afterwards: it tries again.
    Paths,
    /// Not at all.
    Nothing,
}

/// How removing the data of `left` concerns `stays`.
pub fn shared(left: &BindingSpec, stays: &BindingSpec) -> Shared {
    match (&left.sink, &stays.sink) {
        (Sink::Rows(_), Sink::Rows(_))
            if left.id.inventory == stays.id.inventory
                && left.cluster == stays.cluster
                && left.sink_type == stays.sink_type =>
        {
            if left.destination == stays.destination {
                Shared::Rows
            } else {
                Shared::Perhaps
            }
        }
        (Sink::Files(_), Sink::Files(_)) if left.sink_type == stays.sink_type => Shared::Paths,
        _ => Shared::Nothing,
    }
}
