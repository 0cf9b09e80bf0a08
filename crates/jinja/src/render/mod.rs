//! The tree becomes text. Source: `jinja2/compiler.py`, `jinja2/runtime.py`.

mod call;
mod expressions;
mod loops;
mod macros;
mod scope;
mod statements;

pub(crate) use call::Args;
pub(crate) use expressions::compare;
pub(crate) use loops::Loop;
pub(crate) use macros::{MacroValue, Named};
pub(crate) use scope::Scope;

use crate::{
    error::{Error, ErrorKind, Result},
    syntax::ast::Body,
    values::Dict,
};

/// How deep calls may lie in each other: Python allows about as many.
const MAX_CALLS: usize = 150;

/// What rendering needs besides the tree.
pub(crate) struct Renderer<'a> {
    /// `strftime_now`: the time, in this format.
    pub now: &'a dyn Fn(&str) -> String,
    calls: usize,
}

/// # Errors
/// The template raises an exception or fails.
pub(crate) fn render(body: &Body, variables: &Dict, now: &dyn Fn(&str) -> String) -> Result<String> {
    let mut out = String::new();
    let mut renderer = Renderer { now, calls: 0 };
    renderer.run(body, &Scope::root(variables), &mut out)?;
    Ok(out)
}

impl Renderer<'_> {
    /// Runs `work` one call deeper.
    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.calls == MAX_CALLS {
            return Err(Error::new(ErrorKind::Refused, "maximum recursion depth exceeded"));
        }
        self.calls += 1;
        let result = work(self);
        self.calls -= 1;
        result
    }
}
