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

use std::{cell::RefCell, rc::Rc, sync::Arc};

use crate::{
    error::{Error, ErrorKind, Result},
    syntax::ast::{Macro, Tree},
    values::{Dict, Value},
};

/// How deep calls may lie in each other: Python allows about as many.
const MAX_CALLS: usize = 150;

/// What rendering needs besides the tree.
pub(crate) struct Renderer<'a> {
    /// `strftime_now`: the time, in this format.
    pub now: &'a dyn Fn(&str) -> String,
    blocks: &'a [Arc<Macro>],
    calls: usize,
    /// Where macros were defined: these hold each other.
    defining: Vec<Rc<Scope>>,
}

/// # Errors
/// The template raises an exception or fails.
pub(crate) fn render(tree: &Tree, variables: &Dict, now: &dyn Fn(&str) -> String) -> Result<String> {
    render_in(&Scope::root(variables), tree, now)
}

fn render_in(root: &Rc<Scope>, tree: &Tree, now: &dyn Fn(&str) -> String) -> Result<String> {
    let mut out = String::new();
    let mut renderer = Renderer { now, blocks: &tree.blocks, calls: 0, defining: vec![root.clone()] };
    if tree.names.contains("self") {
        renderer.set_self(root, root);
    }
    let result = renderer.run(&tree.body, root, &mut out);
    // What holds itself would stay for ever.
    renderer.defining.iter().for_each(|scope| scope.clear());
    result.map(|_| out)
}

impl Renderer<'_> {
    /// Sets `self`, whose functions write the blocks with the variables of the frame `around`.
    fn set_self(&mut self, scope: &Scope, around: &Rc<Scope>) {
        let blocks = self.blocks.iter().filter_map(|block| Some((block.name.as_deref()?.to_owned(), block)));
        let blocks = blocks.map(|(name, block)| (name, Value::Macro(self.define(block, around))));
        scope.set("self", Value::Namespace(Rc::new(RefCell::new(blocks.collect()))));
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax;

    #[test]
    fn nothing_stays_of_what_was_rendered() {
        for (source, expected) in [
            ("{% macro f() %}x{% endmacro %}{{ f() }}", "x"),
            ("{% for x in [1] %}{% macro f() %}{{ x }}{% endmacro %}{{ f() }}{% endfor %}", "1"),
            (
                "{% set ns = namespace() %}{% for x in [1] %}{% macro f() %}y{% endmacro %}{% set ns.f = f %}{% endfor %}{{ ns.f() }}",
                "y",
            ),
            ("{% block b %}z{% endblock %}{{ self.b() }}", "zz"),
        ] {
            let root = Scope::root(&Dict::new());
            let tree = syntax::parse(source).unwrap();
            assert_eq!(render_in(&root, &tree, &|format| format.to_owned()).unwrap(), expected);
            assert_eq!(Rc::strong_count(&root), 1, "{source}");
        }
    }
}
