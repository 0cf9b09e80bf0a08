//! `for`, and the variable `loop`.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use super::{Args, Renderer, Scope, statements::Flow};
use crate::{
    error::{Result, type_error},
    syntax::ast::For,
    values::{Value, equal, iterate},
};

/// What `loop` knows.
pub struct Loop {
    items: Vec<Value>,
    index0: Cell<usize>,
    depth0: usize,
    changed: RefCell<Option<Value>>,
    /// For a loop that calls itself: its statement, and the variables around it.
    recursive: Option<(Arc<For>, Rc<Scope>)>,
}

impl Renderer<'_> {
    pub(super) fn for_loop(
        &mut self,
        node: &Arc<For>,
        items: Value,
        depth0: usize,
        scope: &Rc<Scope>,
        out: &mut String,
    ) -> Result<()> {
        let mut items = iterate(&items)?;
        if let Some(test) = &node.test {
            let mut kept = Vec::new();
            for item in items {
                let inner = scope.inner();
                self.assign(&node.target, item.clone(), &inner)?;
                if self.eval(test, &inner)?.is_true() {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            self.run(&node.other, &scope.inner(), out)?;
            return Ok(());
        }
        let recursive = node.recursive.then(|| (node.clone(), scope.clone()));
        let state = Rc::new(Loop { items, index0: Cell::new(0), depth0, changed: RefCell::default(), recursive });
        while let Some(item) = state.items.get(state.index0.get()) {
            let inner = scope.inner();
            self.assign(&node.target, item.clone(), &inner)?;
            inner.set("loop", Value::Loop(state.clone()));
            if self.run(&node.body, &inner, out)? == Flow::Break {
                break;
            }
            state.index0.set(state.index0.get() + 1);
        }
        Ok(())
    }

    /// `loop(items)`: the body again, over other items.
    ///
    /// # Errors
    /// The loop is not recursive.
    pub(super) fn call_loop(&mut self, state: &Loop, args: Args) -> Result<Value> {
        let [items] = args.bind("loop", ["iterable"], 1)?;
        let Some((node, scope)) = &state.recursive else {
            return type_error("The loop must have the 'recursive' marker to be called recursively.");
        };
        let mut out = String::new();
        let items = items.unwrap_or(Value::None);
        self.deeper(|this| this.for_loop(node, items, state.depth0 + 1, scope, &mut out))?;
        Ok(Value::str(out))
    }
}

impl Loop {
    pub fn length(&self) -> usize {
        self.items.len()
    }

    pub fn index0(&self) -> usize {
        self.index0.get()
    }

    /// The items that are still to come; the loop ends here.
    pub fn rest(&self) -> Vec<Value> {
        let next = self.index0.get() + 1;
        self.index0.set(self.items.len());
        self.items.get(next..).unwrap_or_default().to_vec()
    }

    pub fn attribute(&self, this: &Value, name: &str) -> Option<Value> {
        let (index0, length) = (self.index0.get(), self.items.len());
        let int = |value: usize| Some(Value::Int(value as i128));
        match name {
            "index0" => int(index0),
            "index" => int(index0 + 1),
            "revindex0" => Some(Value::Int(length as i128 - index0 as i128 - 1)),
            "revindex" => Some(Value::Int(length as i128 - index0 as i128)),
            "first" => Some(Value::Bool(index0 == 0)),
            "last" => Some(Value::Bool(index0 + 1 >= length)),
            "length" => int(length),
            "depth0" => int(self.depth0),
            "depth" => int(self.depth0 + 1),
            "previtem" => Some(match index0.checked_sub(1).and_then(|index| self.items.get(index)) {
                Some(item) => item.clone(),
                None => Value::undefined("there is no previous item"),
            }),
            "nextitem" => Some(match self.items.get(index0 + 1) {
                Some(item) => item.clone(),
                None => Value::undefined("there is no next item"),
            }),
            "cycle" | "changed" => Some(Value::Method(Rc::new((this.clone(), name.to_owned())))),
            _ => None,
        }
    }

    /// `loop.cycle(a, b)`
    ///
    /// # Errors
    /// Nothing to choose from.
    pub(crate) fn cycle(&self, args: &Args) -> Result<Value> {
        match args.positional.len() {
            0 => type_error("no items for cycling given"),
            length => Ok(args.positional[self.index0.get() % length].clone()),
        }
    }

    /// `loop.changed(value)`: the value is not that of the last call.
    pub(crate) fn changed(&self, args: Args) -> Value {
        let values = Value::tuple(args.positional);
        let mut last = self.changed.borrow_mut();
        let changed = last.as_ref().is_none_or(|last| !equal(last, &values));
        *last = Some(values);
        Value::Bool(changed)
    }
}
