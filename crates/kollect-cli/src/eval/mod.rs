//! `kollect eval`: evaluates the paths of a profile on an object, for authors of profiles.
//!
//! Values come from the extractor that makes rows; nothing here evaluates a path by other means.

mod args;
mod compile;
mod input;
mod measure;
mod print;

pub use args::EvalArgs;
pub use compile::{compile_copy, compile_offset, compile_one};
pub use input::EvalError;
pub use measure::{AttributeOutcome, AttributeResult, evaluate};

use crate::shell::{FOUND, INVALID, OK};
use crate::terminal::ReportFormat;
use kollect_model::Gvk;

/// Runs the command; the answer is the exit status.
pub fn run(args: &EvalArgs) -> Result<u8, EvalError> {
    // Without a profile the kind is that of the object.
    let early = args.profile.is_none().then(|| object(args, None)).transpose()?.flatten();
    let given = input::profile(args, early.as_ref())?;
    let object = match early {
        Some(object) => Some(object),
        None if args.profile.is_some() => object(args, Some(&Gvk::from(&given.profile.spec.target_gvk)))?,
        None => None,
    };
    let lines = evaluate(&given.profile, object.as_ref(), &args.scrub_keys);
    match args.format {
        ReportFormat::Json => print::json(&lines)?,
        ReportFormat::Text => print::text(&given, &lines, args.color)?,
    }
    let broken = lines.iter().any(|line| matches!(line.outcome, AttributeOutcome::Broken(_)));
    let failed =
        |line: &AttributeResult| matches!(line.outcome, AttributeOutcome::Failed(_)) && !line.attribute.optional;
    Ok(match broken {
        true => INVALID,
        false if lines.iter().any(failed) => FOUND,
        false => OK,
    })
}

fn object(args: &EvalArgs, gvk: Option<&Gvk>) -> Result<Option<serde_json::Value>, EvalError> {
    match (&args.object, &args.name) {
        (Some(file), _) => input::object_of_file(file, gvk).map(Some),
        (None, Some(name)) => input::object_of_cluster(args, gvk, name).map(Some),
        (None, None) => Ok(None),
    }
}
