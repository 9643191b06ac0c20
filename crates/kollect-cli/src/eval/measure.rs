//! Evaluates each attribute on an object, and measures the cost.
//!
//! Values come from the extractor that makes rows, so they are redacted like rows.

use super::compile::{compile_copy, compile_one};
use kollect_api::{Attribute, ExportMode, KollectProfile};
use kollect_extract::{CompileError, ExtractError, Extractor, RedactedObject, Scratch};
use kollect_model::Gvk;
use serde_json::Value;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// An evaluation is repeated for this long to measure its cost.
const ENOUGH: Duration = Duration::from_millis(2);
/// Most repetitions.
const OFTEN: u32 = 10_000;

/// What became of one attribute.
#[derive(Debug)]
pub enum AttributeOutcome {
    /// The path does not compile.
    Broken(CompileError),
    /// It compiles; there is no object.
    Compiled,
    /// It fails on the object.
    Failed(ExtractError),
    /// It yields a value.
    Value {
        /// The value, redacted.
        value: Value,
        /// Cost of one evaluation.
        nanoseconds: u128,
    },
}

/// One attribute and its outcome.
#[derive(Debug)]
pub struct AttributeResult {
    /// The attribute; the copy of the object has no path.
    pub attribute: Attribute,
    /// Its number in the profile; the copy of the object has none.
    pub number: Option<usize>,
    /// What became of it.
    pub outcome: AttributeOutcome,
}

/// Evaluates every attribute of a profile, and its copy of the object.
pub fn evaluate(profile: &KollectProfile, object: Option<&Value>, scrub_keys: &[String]) -> Vec<AttributeResult> {
    let mut lines = Vec::new();
    let gvk = Gvk::from(&profile.spec.target_gvk);
    // What was read is JSON, which can always be redacted.
    let redacted = object.and_then(|object| RedactedObject::of(&gvk, object).ok());
    let object = redacted.as_ref();
    for (number, attribute) in profile.spec.attributes.iter().enumerate() {
        // A failure of an optional attribute would go unseen.
        let strict = Attribute { optional: false, ..attribute.clone() };
        let outcome = outcome(compile_one(profile, &strict, scrub_keys), &attribute.name, object);
        lines.push(AttributeResult { attribute: attribute.clone(), number: Some(number), outcome });
    }
    if let Some(export) = profile.spec.export.as_ref().filter(|export| export.mode == ExportMode::Resource) {
        let outcome = outcome(compile_copy(profile, scrub_keys), &export.as_, object);
        let attribute = Attribute { name: export.as_.clone(), ..Attribute::default() };
        lines.push(AttributeResult { attribute, number: None, outcome });
    }
    lines
}

fn outcome(compiled: Result<Extractor, CompileError>, name: &str, object: Option<&RedactedObject>) -> AttributeOutcome {
    let extractor = match compiled {
        Ok(extractor) => extractor,
        Err(error) => return AttributeOutcome::Broken(error),
    };
    let Some(object) = object else { return AttributeOutcome::Compiled };
    let mut scratch = Scratch::default();
    match extractor.extract(object, &mut scratch) {
        Err(error) => AttributeOutcome::Failed(error),
        Ok(raw) => {
            let mut attributes: Value = serde_json::from_str(raw.get()).unwrap_or_default();
            let value = attributes.get_mut(name).map(Value::take).unwrap_or_default();
            AttributeOutcome::Value { value, nanoseconds: cost(&extractor, object, &mut scratch) }
        }
    }
}

fn cost(extractor: &Extractor, object: &RedactedObject, scratch: &mut Scratch) -> u128 {
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < OFTEN && start.elapsed() < ENOUGH {
        // The value was seen to come out; only the time counts here.
        let _again = black_box(extractor.extract(black_box(object), scratch));
        rounds += 1;
    }
    start.elapsed().as_nanos() / u128::from(rounds.max(1))
}
