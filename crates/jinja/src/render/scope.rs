use std::{cell::RefCell, rc::Rc};

use crate::{
    library,
    syntax::ast::Name,
    values::{Dict, Value},
};

/// The variables of a frame, above those of the frame around it.
pub(crate) struct Scope {
    variables: RefCell<Vec<(Name, Value)>>,
    around: Option<Rc<Scope>>,
}

impl Scope {
    pub fn root(variables: &Dict) -> Rc<Self> {
        let pairs = variables.iter().filter_map(|(name, value)| Some((Name::from(name.as_str()?), value.clone())));
        Rc::new(Self { variables: RefCell::new(pairs.collect()), around: None })
    }

    /// A new scope inside.
    pub fn inner(self: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self { variables: RefCell::default(), around: Some(self.clone()) })
    }

    /// The scope of the whole template.
    pub fn outermost(self: &Rc<Self>) -> Rc<Self> {
        self.around.as_ref().map_or_else(|| self.clone(), Self::outermost)
    }

    pub fn set(&self, name: &str, value: Value) {
        let mut variables = self.variables.borrow_mut();
        match variables.iter_mut().find(|(found, _)| &**found == name) {
            Some((_, old)) => *old = value,
            None => variables.push((name.into(), value)),
        }
    }

    /// Forgets the variables, and those of the frames around.
    pub fn clear(&self) {
        self.variables.take();
        self.around.iter().for_each(|around| around.clear());
    }

    pub fn get(&self, name: &str) -> Value {
        let mut scope = Some(self);
        while let Some(here) = scope {
            if let Some((_, value)) = here.variables.borrow().iter().find(|(found, _)| &**found == name) {
                return value.clone();
            }
            scope = here.around.as_deref();
        }
        library::global(name).unwrap_or_else(|| Value::undefined(format!("'{name}' is undefined")))
    }
}
