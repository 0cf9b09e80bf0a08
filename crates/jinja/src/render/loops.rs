//! `for`, and the variable `loop`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
};

use super::{Args, Renderer, Scope, statements::Flow};
use crate::{
    error::{Result, type_error},
    syntax::ast::For,
    values::{Iter, Value, equal},
};

/// What `loop` knows.
pub struct Loop {
    node: Arc<For>,
    /// The variables around it.
    scope: Rc<Scope>,
    source: Rc<Iter>,
    /// Items that were looked at before their turn.
    ahead: RefCell<VecDeque<Value>>,
    current: RefCell<Option<Value>>,
    before: RefCell<Option<Value>>,
    /// How many items had their turn.
    index: Cell<usize>,
    depth0: usize,
    changed: RefCell<Option<Value>>,
}

impl Renderer<'_> {
    pub(super) fn for_loop(
        &mut self,
        node: &Arc<For>,
        items: Value,
        depth0: usize,
        scope: &Rc<Scope>,
        out: &mut String,
    ) -> Result<Flow> {
        let state = Rc::new(Loop {
            node: node.clone(),
            scope: scope.clone(),
            source: Iter::over(items)?,
            ahead: RefCell::default(),
            current: RefCell::default(),
            before: RefCell::default(),
            index: Cell::new(0),
            depth0,
            changed: RefCell::default(),
        });
        // `else` is for loops of which no turn came to its end, whether or not there was one.
        let mut came_to_end = false;
        while let Some(item) = self.turn(&state)? {
            let inner = scope.inner();
            self.assign(&node.target, item, &inner)?;
            inner.set("loop", Value::Loop(state.clone()));
            match self.run(&node.body, &inner, out)? {
                Flow::Break => break,
                Flow::Continue => {}
                Flow::End => came_to_end = true,
            }
        }
        if came_to_end { Ok(Flow::End) } else { self.run(&node.other, &scope.inner(), out) }
    }

    /// The item whose turn it is.
    fn turn(&mut self, state: &Loop) -> Result<Option<Value>> {
        let ahead = state.ahead.borrow_mut().pop_front();
        let item = match ahead {
            Some(item) => Some(item),
            None => self.pull(state)?,
        };
        if item.is_some() {
            state.index.set(state.index.get() + 1);
            *state.before.borrow_mut() = state.current.replace(item.clone());
        }
        Ok(item)
    }

    /// The next item that passes the condition, which is computed when the item is needed: bodies may change it.
    fn pull(&mut self, state: &Loop) -> Result<Option<Value>> {
        while let Some(item) = state.source.next()? {
            let Some(test) = &state.node.test else {
                return Ok(Some(item));
            };
            let inner = state.scope.inner();
            self.assign(&state.node.target, item.clone(), &inner)?;
            if self.eval(test, &inner)?.is_true() {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    /// The value; of a loop, as many next items are looked at as the attribute `name` needs, and all for any other use.
    pub(super) fn looked_into(&mut self, value: Value, name: Option<&str>) -> Result<Value> {
        match &value {
            Value::Loop(state) => self.look_ahead(state, name).map(|()| value),
            _ => Ok(value),
        }
    }

    fn look_ahead(&mut self, state: &Loop, name: Option<&str>) -> Result<()> {
        let needed = match name {
            Some("last" | "nextitem") => 1,
            None | Some("length" | "revindex" | "revindex0") => usize::MAX,
            _ => 0,
        };
        while state.ahead.borrow().len() < needed
            && let Some(item) = self.pull(state)?
        {
            state.ahead.borrow_mut().push_back(item);
        }
        Ok(())
    }

    /// `loop(items)`: the body again, over other items.
    ///
    /// # Errors
    /// The loop is not recursive.
    pub(super) fn call_loop(&mut self, state: &Loop, args: Args) -> Result<Value> {
        let [items] = args.bind("loop", ["iterable"], 1)?;
        if !state.node.recursive {
            return type_error("The loop must have the 'recursive' marker to be called recursively.");
        }
        let mut out = String::new();
        let items = items.unwrap_or(Value::None);
        self.deeper(|this| this.for_loop(&state.node, items, state.depth0 + 1, &state.scope, &mut out))?;
        Ok(Value::str(out))
    }
}

impl Loop {
    /// Of all items, once they were looked at.
    pub fn length(&self) -> usize {
        self.index.get() + self.ahead.borrow().len()
    }

    pub fn index(&self) -> usize {
        self.index.get()
    }

    /// The items that are still to come, once they were looked at; the loop ends here.
    pub fn rest(&self) -> Vec<Value> {
        let rest: Vec<Value> = self.ahead.take().into();
        self.index.set(self.index.get() + rest.len());
        rest
    }

    pub fn attribute(&self, this: &Value, name: &str) -> Option<Value> {
        let (index, length) = (self.index.get(), self.length());
        let int = |value: usize| Some(Value::Int(value as i128));
        match name {
            "index0" => int(index - 1),
            "index" => int(index),
            "revindex0" => int(length - index),
            "revindex" => int(length - index + 1),
            "first" => Some(Value::Bool(index == 1)),
            "last" => Some(Value::Bool(index == length)),
            "length" => int(length),
            "depth0" => int(self.depth0),
            "depth" => int(self.depth0 + 1),
            "previtem" => Some(match &*self.before.borrow() {
                Some(item) => item.clone(),
                None => Value::undefined("there is no previous item"),
            }),
            "nextitem" => Some(match self.ahead.borrow().front() {
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
            length => Ok(args.positional[(self.index.get() - 1) % length].clone()),
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
