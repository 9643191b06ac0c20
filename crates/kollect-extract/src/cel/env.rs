//! The CEL environment: the standard library, the string, list, math and base64 extensions, and our own functions.

use super::functions;
use cel::{Context, Env, extensions};
use std::sync::{Arc, LazyLock};

static ROOT: LazyLock<Option<Context<'static, 'static>>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    for extension in [extensions::strings, extensions::lists, extensions::math, extensions::encoders] {
        env.add_extension(extension).ok()?;
    }
    functions::register(&mut env).ok()?;
    Some(Context::with_env(Arc::new(env)))
});

/// The shared root scope. `None` only if two of the libraries above should ever declare the same function.
pub(super) fn root() -> Option<&'static Context<'static, 'static>> {
    ROOT.as_ref()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_libraries_declare_no_function_twice() {
        assert!(super::root().is_some());
    }
}
