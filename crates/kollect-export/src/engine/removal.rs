//! Removal of a binding, and what it means for the bindings that stay.
//!
//! Row sinks own rows by cluster and inventory, so two references of one inventory can own the same rows.

use crate::contract::Sink;
use crate::engine::binding_spec::BindingSpec;

/// What happens to the data of a removed binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Everything the binding owns in the sink is deleted.
    Forget,
    /// It stays.
    Leave,
}

/// How the data of a removed binding overlaps the data of a binding that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataOverlap {
    /// Both own the same rows: the rows must stay, and the other binding compares.
    Rows,
    /// Both may own the same rows under different names of the backend: the other binding compares afterwards.
    Perhaps,
    /// The other binding may have been refused a path that is free afterwards: it retries.
    Paths,
    /// None.
    Nothing,
}

/// How the data of `left` overlaps the data of `stays`.
pub fn data_overlap(left: &BindingSpec, stays: &BindingSpec) -> DataOverlap {
    match (&left.sink, &stays.sink) {
        (Sink::Rows(_), Sink::Rows(_))
            if left.id.inventory == stays.id.inventory
                && left.cluster == stays.cluster
                && left.sink_type == stays.sink_type =>
        {
            if left.destination == stays.destination {
                DataOverlap::Rows
            } else {
                DataOverlap::Perhaps
            }
        }
        (Sink::Files(_), Sink::Files(_)) if left.sink_type == stays.sink_type => DataOverlap::Paths,
        _ => DataOverlap::Nothing,
    }
}
