//! The CEL environment: the standard library, the string, list, math and base64 extensions, and Kollect's functions.

use super::args::{Args, CallResult};
use super::{functions, numbers};
use cel::common::types::DYN_TYPE;
use cel::{Context, Env, extensions};
use std::sync::{Arc, LazyLock};

static ROOT: LazyLock<Option<Context<'static, 'static>>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    for extension in [extensions::strings, extensions::lists, extensions::math, extensions::encoders] {
        env.add_extension(extension).ok()?;
    }
    functions::register(&mut env).ok()?;
    env.add_overload("@string", "@string1", vec![DYN_TYPE], string).ok()?;
    Some(Context::with_env(Arc::new(env)))
});

/// The shared root scope. `None` only if two of the libraries above declare the same function.
pub(super) fn root() -> Option<&'static Context<'static, 'static>> {
    ROOT.as_ref()
}

/// Finds its overloads in the environment that it is part of.
fn string<'b, 'v>(args: Args<'b, 'v>) -> CallResult<'b, 'v> {
    numbers::string(args, root())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_libraries_declare_no_function_twice() {
        assert!(super::root().is_some());
    }
}
