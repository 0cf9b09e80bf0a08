//! Statements.

use std::rc::Rc;

use super::{Renderer, Scope};
use crate::{
    error::{Error, ErrorKind, Result, refused, type_error, value_error},
    syntax::ast::{Body, Expr, Kind, Statement, Target},
    values::{Value, iterate, to_str},
};

/// How a body ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    End,
    Break,
    Continue,
}

impl Renderer<'_> {
    pub(super) fn run(&mut self, body: &Body, scope: &Rc<Scope>, out: &mut String) -> Result<Flow> {
        for statement in body {
            let flow = self.statement(statement, scope, out).map_err(|error| error.at(statement.line))?;
            if flow != Flow::End {
                return Ok(flow);
            }
        }
        Ok(Flow::End)
    }

    fn statement(&mut self, statement: &Statement, scope: &Rc<Scope>, out: &mut String) -> Result<Flow> {
        match &statement.kind {
            Kind::Text(text) => out.push_str(text),
            Kind::Print(value) => {
                let value = self.eval(value, scope)?;
                out.push_str(&to_str(&value));
            }
            Kind::Set(target, value) => {
                let value = match target {
                    Target::Name(_) => self.eval_whole(value, scope)?,
                    _ => self.eval(value, scope)?,
                };
                self.assign(target, value, scope)?;
            }
            Kind::SetBlock(target, filter, body) => {
                let text = Value::str(self.text(body, &scope.inner())?);
                let value = match filter {
                    Some(filter) => self.eval_over(filter, scope, text)?,
                    None => text,
                };
                self.assign(target, value, scope)?;
            }
            Kind::If(branches, other) => {
                for (test, body) in branches {
                    if self.eval(test, scope)?.is_true() {
                        return self.run(body, scope, out);
                    }
                }
                return self.run(other, scope, out);
            }
            Kind::For(node) => {
                let items = self.eval(&node.iter, scope)?;
                return self.for_loop(node, items, 0, scope, out);
            }
            Kind::With(assignments, body) => {
                let inner = scope.inner();
                for (target, value) in assignments {
                    let value = self.eval(value, scope)?;
                    self.assign(target, value, &inner)?;
                }
                return self.run(body, &inner, out);
            }
            Kind::Generation(body) => {
                let text = self.text(body, &scope.inner())?;
                out.push_str(&text);
            }
            Kind::Block { name, scoped } => {
                let around = if *scoped { scope.clone() } else { scope.outermost() };
                let inner = around.inner();
                if *scoped {
                    self.set_self(&inner, &around);
                }
                if let Some(block) = self.blocks.iter().find(|block| block.name.as_ref() == Some(name)) {
                    out.push_str(&self.text(&block.body, &inner)?);
                }
            }
            Kind::Macro(node) => {
                let value = Value::Macro(self.define(node, scope));
                if let Some(name) = &node.name {
                    scope.set(name, value);
                }
            }
            Kind::Call(call, node) => {
                let caller = Value::Macro(self.define(node, scope));
                let Expr::Call(function, args) = call else {
                    return type_error("expected call");
                };
                let function = self.eval(function, scope)?;
                let mut args = self.args(args, scope)?;
                args.named.push(("caller".to_owned(), caller));
                let value = self.call(&function, args)?;
                out.push_str(&to_str(&value));
            }
            Kind::Filter(filter, body) => {
                let inner = scope.inner();
                let text = Value::str(self.text(body, &inner)?);
                let value = self.eval_over(filter, &inner, text)?;
                // Python joins what is written.
                if !matches!(value, Value::Str(_) | Value::Markup(_)) {
                    return type_error(format!("expected str instance, {} found", value.type_name()));
                }
                out.push_str(&to_str(&value));
            }
            Kind::AutoEscape(value, body) => {
                if self.eval(value, scope)?.is_true() {
                    return refused("autoescape is not supported: prompts are no HTML");
                }
                return self.run(body, &scope.inner(), out);
            }
            Kind::Hide(names) => {
                for name in names {
                    scope.set(name, Value::undefined(format!("'{name}' is undefined")));
                }
            }
            Kind::Break => return Ok(Flow::Break),
            Kind::Continue => return Ok(Flow::Continue),
            Kind::Load(tag) => return type_error(format!("{tag}: no loader for this environment specified")),
        }
        Ok(Flow::End)
    }

    /// What a body writes.
    pub(super) fn text(&mut self, body: &Body, scope: &Rc<Scope>) -> Result<String> {
        let mut out = String::new();
        self.run(body, scope, &mut out)?;
        Ok(out)
    }

    /// # Errors
    /// A number of values other than that of the names; an attribute of something else than a namespace.
    pub(super) fn assign(&mut self, target: &Target, value: Value, scope: &Rc<Scope>) -> Result<()> {
        match target {
            Target::Name(name) => scope.set(name, value),
            Target::Tuple(targets) => {
                if matches!(value, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_)) {
                    return type_error(format!("cannot unpack non-iterable {} object", value.type_name()));
                }
                let values = iterate(&value)?;
                if values.len() > targets.len() {
                    return value_error(format!("too many values to unpack (expected {})", targets.len()));
                }
                if values.len() < targets.len() {
                    let (expected, got) = (targets.len(), values.len());
                    return value_error(format!("not enough values to unpack (expected {expected}, got {got})"));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, scope)?;
                }
            }
            Target::Attr(name, attribute) => {
                let Value::Namespace(attributes) = scope.get(name) else {
                    return Err(Error::new(ErrorKind::Refused, "cannot assign attribute on non-namespace object"));
                };
                if attribute.starts_with('_') {
                    return refused(format!("a namespace cannot have the attribute {attribute}"));
                }
                attributes.borrow_mut().set(attribute, value);
            }
        }
        Ok(())
    }
}
