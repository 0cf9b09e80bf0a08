//! Expressions.

use std::{cmp::Ordering, rc::Rc};

use super::{Renderer, Scope};
use crate::{
    error::Result,
    library,
    syntax::ast::{Compare, Expr},
    values::{self, Dict, Value, to_str},
};

impl Renderer<'_> {
    pub(super) fn eval(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Result<Value> {
        self.eval_over(expr, scope, Value::None)
    }

    /// As [`Self::eval`], of a value that is not looked into: a loop goes on as it would have.
    pub(super) fn eval_whole(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Result<Value> {
        match expr {
            Expr::Name(name) => Ok(scope.get(name)),
            _ => self.eval(expr, scope),
        }
    }

    /// As [`Self::eval`], with the text that a filter block filters.
    pub(super) fn eval_over(&mut self, expr: &Expr, scope: &Rc<Scope>, body: Value) -> Result<Value> {
        Ok(match expr {
            Expr::Body => body,
            Expr::None => Value::None,
            Expr::Bool(value) => Value::Bool(*value),
            Expr::Int(value) => Value::Int(*value),
            Expr::Float(value) => Value::Float(*value),
            Expr::Str(text) => Value::str(text),
            Expr::Name(name) => self.looked_into(scope.get(name), None)?,
            Expr::List(items) => Value::list(self.all(items, scope)?),
            Expr::Tuple(items) => Value::tuple(self.all(items, scope)?),
            Expr::Dict(items) => {
                let mut dict = Dict::new();
                for (key, value) in items {
                    let key = self.eval(key, scope)?;
                    dict.insert(key, self.eval(value, scope)?)?;
                }
                Value::dict(dict)
            }
            Expr::Attr(value, name) => {
                let value = self.eval_whole(value, scope)?;
                values::attribute(&self.looked_into(value, Some(name))?, name)?
            }
            Expr::Item(value, key) => {
                let value = self.eval_whole(value, scope)?;
                let key = self.eval(key, scope)?;
                values::item(&self.looked_into(value, key.as_str())?, &key)?
            }
            Expr::Slice(value, bounds) => {
                let value = self.eval(value, scope)?;
                let mut at = [Value::None, Value::None, Value::None];
                for (at, bound) in at.iter_mut().zip(bounds) {
                    if let Some(bound) = bound {
                        *at = self.eval(bound, scope)?;
                    }
                }
                values::slice(&value, [&at[0], &at[1], &at[2]])?
            }
            Expr::Call(function, args) => {
                let function = self.eval_whole(function, scope)?;
                let args = self.args(args, scope)?;
                self.call(&function, args)?
            }
            Expr::Filter(value, name, args) => {
                let value = self.eval_over(value, scope, body)?;
                let args = self.args(args, scope)?;
                library::filter(self, name, value, args)?
            }
            Expr::Test(value, name, args) => {
                let value = self.eval(value, scope)?;
                let args = self.args(args, scope)?;
                library::test(name, &value, args)?
            }
            Expr::Not(value) => Value::Bool(!self.eval(value, scope)?.is_true()),
            Expr::Neg(value) => values::negative(&self.eval(value, scope)?)?,
            Expr::Pos(value) => values::positive(&self.eval(value, scope)?)?,
            Expr::And(a, b) => {
                let a = self.eval(a, scope)?;
                if a.is_true() { self.eval(b, scope)? } else { a }
            }
            Expr::Or(a, b) => {
                let a = self.eval(a, scope)?;
                if a.is_true() { a } else { self.eval(b, scope)? }
            }
            Expr::If { test, then, other } => {
                if self.eval(test, scope)?.is_true() {
                    self.eval(then, scope)?
                } else if let Some(other) = other {
                    self.eval(other, scope)?
                } else {
                    Value::undefined("the inline if-expression evaluated to false and no else section was defined.")
                }
            }
            Expr::Compare(first, rest) => {
                let mut left = self.eval(first, scope)?;
                for (index, (operator, right)) in rest.iter().enumerate() {
                    let right = self.eval(right, scope)?;
                    let holds = compare(*operator, &left, &right)?;
                    if !holds || index + 1 == rest.len() {
                        return Ok(Value::Bool(holds));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
            Expr::Concat(parts) => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(&to_str(&self.eval(part, scope)?));
                }
                Value::str(text)
            }
            Expr::Binary(operator, a, b) => {
                let a = self.eval(a, scope)?;
                let b = self.eval(b, scope)?;
                values::binary(*operator, &a, &b)?
            }
        })
    }

    fn all(&mut self, items: &[Expr], scope: &Rc<Scope>) -> Result<Vec<Value>> {
        items.iter().map(|item| self.eval(item, scope)).collect()
    }
}

/// # Errors
/// Types that Python does not compare.
pub(crate) fn compare(operator: Compare, a: &Value, b: &Value) -> Result<bool> {
    let ordered =
        |sign, holds: fn(Ordering) -> bool| values::order(a, b, sign).map(|ordering| ordering.is_some_and(holds));
    match operator {
        Compare::Eq => Ok(values::equal(a, b)),
        Compare::Ne => Ok(!values::equal(a, b)),
        Compare::Lt => ordered("<", Ordering::is_lt),
        Compare::Le => ordered("<=", Ordering::is_le),
        Compare::Gt => ordered(">", Ordering::is_gt),
        Compare::Ge => ordered(">=", Ordering::is_ge),
        Compare::In => values::contains(b, a),
        Compare::NotIn => values::contains(b, a).map(|found| !found),
    }
}
