//! Which names a frame hides. Source: `jinja2/idtracking.py`.
//!
//! Jinja decides before it runs where a name is looked up. A name that a frame assigns, before it reads it and behind no
//! condition, belongs to the frame from its beginning: until it is assigned, it is undefined there, also in the frames
//! inside, whatever variable of that name the template was given. A name that a frame around has is seen as ever.

use std::{collections::HashMap, sync::Arc};

use super::ast::{Args, Body, Expr, Kind, Macro, Name, Statement, Target};

/// The names of a frame, each with whether it is hidden until it is assigned.
struct Frame<'a> {
    names: HashMap<Name, bool>,
    around: Option<&'a Frame<'a>>,
}

/// Puts a statement that hides names at the beginning of every frame that hides some.
pub(super) fn hide(body: &mut Body) {
    frame(body, &[], None);
}

fn frame(body: &mut Body, parameters: &[Name], around: Option<&Frame<'_>>) {
    let names = parameters.iter().map(|name| (name.clone(), false)).collect();
    let mut this = Frame { names, around };
    this.body(body);
    for statement in body.iter_mut() {
        inside(statement, &this);
    }
    let mut hidden: Vec<Name> = this.names.into_iter().filter(|(_, hidden)| *hidden).map(|(name, _)| name).collect();
    hidden.sort();
    if !hidden.is_empty() {
        body.insert(0, Statement { line: body.first().map_or(1, |first| first.line), kind: Kind::Hide(hidden) });
    }
}

/// The frames within a statement.
fn inside(statement: &mut Statement, this: &Frame<'_>) {
    let around = Some(this);
    match &mut statement.kind {
        Kind::If(branches, other) => {
            let bodies = branches.iter_mut().map(|(_, body)| body).chain([other]);
            for statement in bodies.flatten() {
                inside(statement, this);
            }
        }
        Kind::For(node) => {
            if let Some(node) = Arc::get_mut(node) {
                let mut parameters = vec![Name::from("loop")];
                names_of(&node.target, &mut parameters);
                frame(&mut node.body, &parameters, around);
                frame(&mut node.other, &[], around);
            }
        }
        Kind::With(assignments, body) => {
            let mut parameters = Vec::new();
            assignments.iter().for_each(|(target, _)| names_of(target, &mut parameters));
            frame(body, &parameters, around);
        }
        Kind::SetBlock(_, _, body) | Kind::Filter(_, body) | Kind::AutoEscape(_, body) | Kind::Generation(body) => {
            frame(body, &[], around)
        }
        Kind::Macro(node) | Kind::Call(_, node) => {
            if let Some(Macro { arguments, body, .. }) = Arc::get_mut(node) {
                let special = ["caller", "kwargs", "varargs"].map(Name::from);
                let parameters: Vec<Name> = arguments.iter().map(|(name, _)| name.clone()).chain(special).collect();
                frame(body, &parameters, around);
            }
        }
        _ => {}
    }
}

fn names_of(target: &Target, names: &mut Vec<Name>) {
    match target {
        Target::Name(name) => names.push(name.clone()),
        Target::Tuple(targets) => targets.iter().for_each(|target| names_of(target, names)),
        Target::Attr(..) => {}
    }
}

impl Frame<'_> {
    fn knows(&self, name: &Name) -> bool {
        self.names.contains_key(name) || self.around.is_some_and(|around| around.knows(name))
    }

    fn load(&mut self, name: &Name) {
        if !self.knows(name) {
            self.names.insert(name.clone(), false);
        }
    }

    fn store(&mut self, name: &Name) {
        let known = self.knows(name);
        self.names.entry(name.clone()).or_insert(!known);
    }

    fn target(&mut self, target: &Target) {
        match target {
            Target::Name(name) => self.store(name),
            Target::Tuple(targets) => targets.iter().for_each(|target| self.target(target)),
            Target::Attr(name, _) => self.load(name),
        }
    }

    /// The statements of the frame itself, not those of frames inside.
    fn body(&mut self, body: &Body) {
        for statement in body {
            match &statement.kind {
                Kind::Print(value) | Kind::Call(value, _) | Kind::Filter(value, _) => self.expr(value),
                Kind::Set(target, value) => {
                    self.expr(value);
                    self.target(target);
                }
                Kind::SetBlock(target, ..) => self.target(target),
                Kind::For(node) => self.expr(&node.iter),
                Kind::With(assignments, _) => assignments.iter().for_each(|(_, value)| self.expr(value)),
                Kind::Macro(node) => node.name.iter().for_each(|name| self.store(name)),
                Kind::If(branches, other) => {
                    for (test, body) in branches {
                        self.expr(test);
                        self.branch(body);
                    }
                    self.branch(other);
                }
                _ => {}
            }
        }
    }

    /// What is assigned behind a condition may have its value from outside.
    fn branch(&mut self, body: &Body) {
        let before = self.names.clone();
        self.body(body);
        for (name, hidden) in &mut self.names {
            *hidden = before.get(name).copied().unwrap_or(false);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Name(name) => self.load(name),
            Expr::None | Expr::Bool(_) | Expr::Int(_) | Expr::Float(_) | Expr::Str(_) | Expr::Body => {}
            Expr::List(items) | Expr::Tuple(items) | Expr::Concat(items) => {
                items.iter().for_each(|item| self.expr(item))
            }
            Expr::Dict(items) => items.iter().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            Expr::Attr(value, _) | Expr::Not(value) | Expr::Neg(value) | Expr::Pos(value) => self.expr(value),
            Expr::Item(a, b) | Expr::And(a, b) | Expr::Or(a, b) | Expr::Binary(_, a, b) => {
                self.expr(a);
                self.expr(b);
            }
            Expr::Slice(value, bounds) => {
                self.expr(value);
                bounds.iter().flatten().for_each(|bound| self.expr(bound));
            }
            Expr::Call(value, args) | Expr::Filter(value, _, args) | Expr::Test(value, _, args) => {
                self.expr(value);
                self.args(args);
            }
            Expr::If { test, then, other } => {
                self.expr(test);
                self.expr(then);
                other.iter().for_each(|other| self.expr(other));
            }
            Expr::Compare(first, rest) => {
                self.expr(first);
                rest.iter().for_each(|(_, value)| self.expr(value));
            }
        }
    }

    fn args(&mut self, args: &Args) {
        args.positional.iter().for_each(|value| self.expr(value));
        args.named.iter().for_each(|(_, value)| self.expr(value));
        args.list.iter().chain(&args.dict).for_each(|value| self.expr(value));
    }
}
