use crate::{
    error::Error,
    render,
    syntax::{self, ast::Body},
    values::Dict,
};

/// A template that has been read.
#[derive(Debug)]
pub struct Template {
    body: Body,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The text is not Jinja, with the line.
    pub fn parse(source: &str) -> Result<Self, Error> {
        Ok(Self { body: syntax::parse(source)? })
    }

    /// The template's text for these variables. `now` is Python's `datetime.now().strftime`.
    ///
    /// # Errors
    /// The template raises an exception or fails, with the line.
    pub fn render(&self, variables: &Dict, now: &dyn Fn(&str) -> String) -> Result<String, Error> {
        render::render(&self.body, variables, now)
    }
}
