use crate::{
    error::Error,
    render,
    syntax::{self, ast::Tree},
    values::Dict,
};

/// A template that has been read.
#[derive(Debug)]
pub struct Template {
    tree: Tree,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The text is not Jinja, with the line.
    pub fn parse(source: &str) -> Result<Self, Error> {
        Ok(Self { tree: syntax::parse(source)? })
    }

    /// The template's text for these variables. `now` is Python's `datetime.now().strftime`.
    ///
    /// # Errors
    /// The template raises an exception or fails, with the line.
    pub fn render(&self, variables: &Dict, now: &dyn Fn(&str) -> String) -> Result<String, Error> {
        render::render(&self.tree, variables, now)
    }

    /// Whether a variable of this name may make a difference.
    pub fn reads(&self, name: &str) -> bool {
        self.tree.names.contains(name)
    }
}
