//! What each attribute yields for an object, and what that costs.
//!
//! Separate from showing it. Values come from the extractor that makes rows, so they are redacted like rows.

use super::single::{compile_copy, compile_one};
use kollect_api::{Attribute, ExportMode, KollectProfile};
use kollect_extract::{CompileError, ExtractError, Extractor, RedactedObject, Scratch};
use kollect_model::Gvk;
use serde_json::Value;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// An evaluation is repeated for so long, or so often, to tell its cost.
const ENOUGH: Duration = Duration::from_millis(2);
const OFTEN: u32 = 10_000;

/// What became of one attribute.
#[derive(Debug)]
pub enum Outcome {
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
pub struct Line {
    /// The attribute; the copy of the object has no path.
    pub attribute: Attribute,
    /// Its number in the profile; the copy of the object has none.
    pub number: Option<usize>,
    /// What became of it.
    pub outcome: Outcome,
}

/// Evaluates every attribute of a profile, and its copy of the object.
pub fn evaluate(profile: &KollectProfile, object: Option<&Value>, scrub_keys: &[String]) -> Vec<Line> {
    let mut lines = Vec::new();
    let gvk = Gvk::from(&profile.spec.target_gvk);
    // What was read is JSON, which can always be redacted.
    let redacted = object.and_then(|object| RedactedObject::of(&gvk, object).ok());
    let object = redacted.as_ref();
    for (number, attribute) in profile.spec.attributes.iter().enumerate() {
        // A failure of an optional attribute would go unseen.
        let strict = Attribute { optional: false, ..attribute.clone() };
        let outcome = outcome(compile_one(profile, &strict, scrub_keys), &attribute.name, object);
        lines.push(Line { attribute: attribute.clone(), number: Some(number), outcome });
    }
    if let Some(export) = profile.spec.export.as_ref().filter(|export| export.mode == ExportMode::Resource) {
        let outcome = outcome(compile_copy(profile, scrub_keys), &export.as_, object);
        let attribute = Attribute { name: export.as_.clone(), ..Attribute::default() };
        lines.push(Line { attribute, number: None, outcome });
    }
    lines
}

fn outcome(compiled: Result<Extractor, CompileError>, name: &str, object: Option<&RedactedObject>) -> Outcome {
    let extractor = match compiled {
        Ok(extractor) => extractor,
        Err(error) => return Outcome::Broken(error),
    };
    let Some(object) = object else { return Outcome::Compiled };
    let mut scratch = Scratch::default();
    match extractor.extract(object, &mut scratch) {
        Err(error) => Outcome::Failed(error),
        Ok(raw) => {
            let mut attributes: Value = serde_json::from_str(raw.get()).unwrap_or_default();
            let value = attributes.get_mut(name).map(Value::take).unwrap_or_default();
            Outcome::Value { value, nanoseconds: cost(&extractor, object, &mut scratch) }
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
