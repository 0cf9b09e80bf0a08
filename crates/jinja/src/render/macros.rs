//! Macros: functions that a template writes itself.

use std::{rc::Rc, sync::Arc};

use super::{Args, Renderer, Scope};
use crate::{
    error::{Result, type_error},
    syntax::ast::Macro,
    values::{Dict, Value, repr_str},
};

/// A macro, with the variables around it.
pub struct MacroValue {
    node: Arc<Macro>,
    scope: Rc<Scope>,
}

impl MacroValue {
    pub fn name(&self) -> Option<&str> {
        self.node.name.as_deref()
    }

    pub fn attribute(&self, name: &str) -> Option<Value> {
        Some(match name {
            "name" => self.name().map_or(Value::None, Value::str),
            "arguments" => Value::tuple(self.node.arguments.iter().map(|(name, _)| Value::str(name)).collect()),
            "catch_kwargs" => Value::Bool(self.node.kwargs),
            "catch_varargs" => Value::Bool(self.node.varargs),
            "caller" => Value::Bool(self.node.caller),
            _ => return None,
        })
    }
}

impl Renderer<'_> {
    pub(super) fn define(&mut self, node: &Arc<Macro>, scope: &Rc<Scope>) -> Rc<MacroValue> {
        self.defining.push(scope.clone());
        Rc::new(MacroValue { node: node.clone(), scope: scope.clone() })
    }

    pub(super) fn call_macro(&mut self, called: &MacroValue, mut args: Args) -> Result<Value> {
        let node = &called.node;
        let name = called.name().map_or("None".to_owned(), repr_str);
        let scope = called.scope.inner();
        let more = args.positional.split_off(node.arguments.len().min(args.positional.len()));
        let mut given = args.positional.into_iter();
        let mut missing = Vec::new();
        for (argument, default) in &node.arguments {
            match given.next().or_else(|| args.named.take(argument)) {
                Some(value) => scope.set(argument, value),
                None => {
                    scope.set(argument, Value::undefined(format!("parameter '{argument}' was not provided")));
                    missing.push((argument, default));
                }
            }
        }
        if node.caller {
            let caller = args.named.take("caller");
            scope.set("caller", caller.unwrap_or_else(|| Value::undefined("No caller defined")));
        }
        if node.kwargs {
            let named: Dict = args.named.drain(..).collect();
            scope.set("kwargs", Value::dict(named));
        } else if let Some((unknown, _)) = args.named.first() {
            return type_error(format!("macro {name} takes no keyword argument {}", repr_str(unknown)));
        }
        if node.varargs {
            scope.set("varargs", Value::tuple(more));
        } else if !more.is_empty() {
            return type_error(format!("macro {name} takes not more than {} argument(s)", node.arguments.len()));
        }
        self.deeper(|this| {
            for (argument, default) in missing {
                if let Some(default) = default {
                    let value = this.eval(default, &scope)?;
                    scope.set(argument, value);
                }
            }
            this.text(&node.body, &scope).map(Value::str)
        })
    }
}

/// Named arguments: few, in their order.
pub(crate) trait Named {
    fn take(&mut self, name: &str) -> Option<Value>;
}

impl Named for Vec<(String, Value)> {
    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.iter().position(|(found, _)| found == name)?;
        Some(self.remove(index).1)
    }
}
