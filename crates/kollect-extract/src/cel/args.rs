//! Arguments and results of CEL functions.

use cel::ExecutionError;
use cel::common::types::{CelBool, CelInt, CelString};
use cel::common::value::CowVal;

pub(super) type Args<'b, 'v> = Vec<CowVal<'b, 'v>>;
pub(super) type CallResult<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

pub(super) fn truth<'b, 'v>(value: bool) -> CowVal<'b, 'v> {
    CowVal::owned(CelBool::from(value))
}

pub(super) fn wrong_types(function: &str, args: &Args<'_, '_>) -> ExecutionError {
    ExecutionError::no_such_overload(function, args.iter().map(|arg| arg.get_type().name().to_owned()).collect())
}

pub(super) fn text<'x>(value: &'x CowVal<'_, '_>) -> Option<&'x str> {
    value.downcast_ref::<CelString>().map(CelString::inner)
}

pub(super) fn integer<'b, 'v>(value: i64) -> CowVal<'b, 'v> {
    CowVal::owned(CelInt::from(value))
}

pub(super) fn string<'b, 'v>(value: String) -> CowVal<'b, 'v> {
    CowVal::owned(CelString::from(value))
}
