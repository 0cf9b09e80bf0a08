//! Calls, and how arguments find their names.

use std::rc::Rc;

use super::{Renderer, Scope};
use crate::{
    error::{Result, type_error},
    library, python,
    syntax::ast,
    values::{Value, iterate},
};

/// The arguments of a call.
#[derive(Clone, Default)]
pub(crate) struct Args {
    pub positional: Vec<Value>,
    pub named: Vec<(String, Value)>,
}

impl Args {
    /// The arguments of a function with these parameters, of which the first `required` have no default.
    ///
    /// # Errors
    /// Arguments that it does not take; some that are missing.
    pub fn bind<const N: usize>(self, function: &str, names: [&str; N], required: usize) -> Result<[Option<Value>; N]> {
        if self.positional.len() > N {
            let given = self.positional.len();
            return type_error(format!("{function}() takes {N} positional arguments but {given} were given"));
        }
        let mut bound = [const { None }; N];
        for (slot, value) in bound.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            match names.iter().position(|found| *found == name) {
                Some(index) if bound[index].is_some() => {
                    return type_error(format!("{function}() got multiple values for argument '{name}'"));
                }
                Some(index) => bound[index] = Some(value),
                None => return type_error(format!("{function}() got an unexpected keyword argument '{name}'")),
            }
        }
        match bound.iter().take(required).position(Option::is_none) {
            Some(index) => type_error(format!("{function}() missing required argument '{}'", names[index])),
            None => Ok(bound),
        }
    }

    /// The arguments of a function that takes none by name.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn positional<const N: usize>(self, function: &str, required: usize) -> Result<[Option<Value>; N]> {
        if !self.named.is_empty() {
            return type_error(format!("{function}() takes no keyword arguments"));
        }
        self.bind(function, [""; N], required)
    }
}

impl Renderer<'_> {
    pub(super) fn args(&mut self, args: &ast::Args, scope: &Rc<Scope>) -> Result<Args> {
        let mut out = Args::default();
        for value in &args.positional {
            out.positional.push(self.eval(value, scope)?);
        }
        for (name, value) in &args.named {
            if out.named.iter().any(|(found, _)| **found == **name) {
                return type_error(format!("keyword argument repeated: {name}"));
            }
            out.named.push((name.to_string(), self.eval(value, scope)?));
        }
        if let Some(list) = &args.list {
            let list = self.eval(list, scope)?;
            out.positional.extend(iterate(&list)?);
        }
        if let Some(dict) = &args.dict {
            let Value::Dict(dict) = self.eval(dict, scope)? else {
                return type_error("argument after ** must be a mapping");
            };
            for (name, value) in dict.iter() {
                let Some(name) = name.as_str() else {
                    return type_error("keywords must be strings");
                };
                if out.named.iter().any(|(found, _)| found == name) {
                    return type_error(format!("got multiple values for keyword argument '{name}'"));
                }
                out.named.push((name.to_owned(), value.clone()));
            }
        }
        Ok(out)
    }

    /// # Errors
    /// The value cannot be called, or fails.
    pub(crate) fn call(&mut self, function: &Value, args: Args) -> Result<Value> {
        function.check_defined()?;
        match function {
            Value::Macro(called) => self.call_macro(called, args),
            Value::Loop(state) => self.call_loop(state, args),
            Value::Function(name) => library::call_global(self, name, args),
            Value::Joiner(joiner) => {
                args.positional::<0>("joiner", 0)?;
                let used = joiner.used.replace(true);
                Ok(if used { joiner.separator.clone() } else { Value::str("") })
            }
            Value::Method(method) => python::call_method(&method.0, &method.1, args),
            _ => type_error(format!("'{}' object is not callable", function.type_name())),
        }
    }
}
