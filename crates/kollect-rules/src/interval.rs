//! How often a binding may export.

use kollect_api::{GoDuration, SinkFamily};
use std::time::Duration;

/// Longest export interval.
pub const MAX_INTERVAL: Duration = Duration::from_hours(24);

/// Least time between two exports when nothing is set: 30 s for documents, 1 s for rows and events.
pub const fn default_interval(family: SinkFamily) -> Duration {
    match family {
        SinkFamily::Snapshot => Duration::from_secs(30),
        SinkFamily::Database | SinkFamily::Event => Duration::from_secs(1),
    }
}

/// Least time between two exports of one binding: the reference's value, else the sink's, the inventory's, the
/// default; raised to the floor of the scope. A value that is no duration counts as not set.
pub fn effective_interval(
    family: SinkFamily,
    reference: Option<&GoDuration>,
    sink: Option<&GoDuration>,
    inventory: Option<&GoDuration>,
    floor: Option<&GoDuration>,
) -> Duration {
    let value = |text: Option<&GoDuration>| text.and_then(|text| text.to_duration().ok());
    let wanted = value(reference).or_else(|| value(sink)).or_else(|| value(inventory));
    wanted.unwrap_or_else(|| default_interval(family)).max(value(floor).unwrap_or_default()).min(MAX_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use SinkFamily::{Database, Event, Snapshot};

    #[test]
    fn the_nearest_interval_wins_and_the_scope_is_a_floor() {
        let text = |text: &str| (!text.is_empty()).then(|| GoDuration::new(text));
        for (family, reference, sink, inventory, floor, seconds) in [
            (Snapshot, "", "", "", "", 30),
            (Database, "", "", "", "", 1),
            (Event, "", "", "", "", 1),
            (Snapshot, "", "", "2m", "", 120),
            (Snapshot, "", "5m", "2m", "", 300),
            (Snapshot, "10s", "5m", "2m", "", 10),
            (Snapshot, "10s", "", "", "1m", 60),
            (Snapshot, "0", "", "", "", 0),
            (Snapshot, "0s", "", "", "1m", 60),
            (Database, "", "", "", "10s", 10),
            (Database, "", "soon", "2m", "", 120),
            (Database, "", "", "", "nonsense", 1),
        ] {
            let got = effective_interval(
                family,
                text(reference).as_ref(),
                text(sink).as_ref(),
                text(inventory).as_ref(),
                text(floor).as_ref(),
            );
            assert_eq!(got, Duration::from_secs(seconds), "{family} {reference} {sink} {inventory} {floor}");
        }
    }
}
