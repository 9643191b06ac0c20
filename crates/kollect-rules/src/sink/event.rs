//! The rules of KollectEventSink.

use super::checks::{check_common, check_format};
use super::rules::K17;
use super::usable;
use crate::findings::Findings;
use crate::violation::Violation;
use kollect_api::{EventSinkType, Format, KollectEventSinkSpec};

/// Checks an event sink, including that it has all it needs to publish somewhere.
pub fn check_event_sink(spec: &KollectEventSinkSpec) -> Vec<Violation> {
    let mut found = Findings::default();
    check_fields(&mut found, spec);
    usable::add(&mut found, usable::event(spec));
    found.violations
}

pub(super) fn check_fields(found: &mut Findings, spec: &KollectEventSinkSpec) {
    let type_ = spec.type_;
    check_common(found, &spec.common);
    check_format(found, &spec.common, type_.as_str(), &[Format::Json]);
    if spec.common.layout.is_some() {
        found.text(&K17, "spec.layout", "", "does not apply to events, but to Git repositories only; remove it");
    }
    for (block, present) in [(EventSinkType::Nats, spec.nats.is_some()), (EventSinkType::Kafka, spec.kafka.is_some())] {
        let field = format!("spec.{}", block.as_str());
        if block == type_ && !present {
            found.text(&K17, field, "", format!("is required for type {}", type_.as_str()));
        } else if block != type_ && present {
            found.text(&K17, field, "", format!("does not apply to type {}; remove it", type_.as_str()));
        }
    }
}
