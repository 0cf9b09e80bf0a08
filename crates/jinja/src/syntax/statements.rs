//! Statements: what stands between `{%` and `%}`.

use std::sync::Arc;

use super::{
    ast::{Body, Expr, For, Kind, Macro, Name, Statement, Target},
    lexer::Token,
    parser::{Parser, describe},
};
use crate::error::Result;

impl Parser {
    /// Statements up to one of the tags `ends`, which is the next token then; up to the end of the template if there are
    /// none.
    pub fn body(&mut self, ends: &[&str]) -> Result<Body> {
        self.deeper(|this| {
            let mut body = Vec::new();
            loop {
                let line = this.line();
                let kind = match this.next() {
                    Token::Data(text) => Kind::Text(text),
                    Token::PrintBegin => {
                        let value = this.tuple(true)?;
                        this.expect(&Token::PrintEnd)?;
                        Kind::Print(value)
                    }
                    Token::BlockBegin => {
                        if ends.iter().any(|end| this.is_name(end)) {
                            return Ok(body);
                        }
                        let kind = this.statement(ends)?;
                        this.expect(&Token::BlockEnd)?;
                        kind
                    }
                    Token::End if ends.is_empty() => return Ok(body),
                    Token::End => {
                        let ends = ends.join(" or ");
                        return this.fail(format!("unexpected end of template, looking for {ends}"));
                    }
                    token => return this.fail(format!("unexpected {:?}", describe(&token))),
                };
                body.push(Statement { line, kind });
            }
        })
    }

    /// The body of a tag, from the end of the tag on, up to one of the tags `ends`, whose name is taken.
    fn inner(&mut self, ends: &[&str]) -> Result<(Body, Name)> {
        self.skip_op(":");
        self.expect(&Token::BlockEnd)?;
        let body = self.body(ends)?;
        Ok((body, self.name()?))
    }

    /// As [`Self::inner`], in a frame of its own, where an unknown filter is an error.
    fn frame(&mut self, end: &str) -> Result<Body> {
        self.with_soft(false, |this| this.inner(&[end])).map(|(body, _)| body)
    }

    fn statement(&mut self, ends: &[&str]) -> Result<Kind> {
        let name = match self.next() {
            Token::Name(name) => name,
            _ => return self.fail("tag name expected"),
        };
        match name.as_str() {
            "set" => {
                let target = self.target(true, &[])?;
                if self.skip_op("=") {
                    return Ok(Kind::Set(target, self.tuple(true)?));
                }
                let filter = if self.is_op("|") { Some(self.filters(Expr::Body)?) } else { None };
                Ok(Kind::SetBlock(target, filter, self.frame("endset")?))
            }
            "if" => self.with_soft(true, Self::if_statement),
            "for" => self.for_statement(),
            "with" => {
                let mut assignments = Vec::new();
                while *self.peek() != Token::BlockEnd {
                    if !assignments.is_empty() {
                        self.expect_op(",")?;
                    }
                    let target = self.target(false, &[])?;
                    self.expect_op("=")?;
                    assignments.push((target, self.expression()?));
                }
                Ok(Kind::With(assignments, self.frame("endwith")?))
            }
            "block" => {
                let name = self.name()?;
                let scoped = self.skip_name("scoped");
                if self.skip_name("required") {
                    return self.fail(format!("block {name:?} is required, and there is no other template to have it"));
                }
                let block = self.macro_body(Some(name.clone()), Vec::new(), "endblock")?;
                self.skip_name(&name);
                if self.blocks.iter().any(|other| other.name == block.name) {
                    return self.fail(format!("block {name:?} defined twice"));
                }
                self.blocks.push(block);
                Ok(Kind::Block { name, scoped })
            }
            "macro" => {
                let name = self.name()?;
                self.macro_from(Some(name), true, "endmacro").map(|node| Kind::Macro(Arc::new(node)))
            }
            "call" => {
                let has_signature = self.is_op("(");
                let arguments = if has_signature { self.signature()? } else { Vec::new() };
                let call = self.expression()?;
                if !matches!(call, Expr::Call(..)) {
                    return self.fail("expected call");
                }
                let node = self.macro_body(None, arguments, "endcall")?;
                Ok(Kind::Call(call, Arc::new(node)))
            }
            "filter" => {
                let filter = self.filter(Expr::Body)?;
                let filter = self.filters(filter)?;
                Ok(Kind::Filter(filter, self.frame("endfilter")?))
            }
            "autoescape" => {
                let value = self.expression()?;
                Ok(Kind::AutoEscape(value, self.frame("endautoescape")?))
            }
            "print" => {
                let mut values = vec![self.expression()?];
                while self.skip_op(",") {
                    values.push(self.expression()?);
                }
                Ok(Kind::Print(match values.len() {
                    1 => values.remove(0),
                    _ => Expr::Concat(values),
                }))
            }
            "generation" => {
                let loops = std::mem::take(&mut self.loops);
                let body = self.frame("endgeneration")?;
                self.loops = loops;
                Ok(Kind::Generation(body))
            }
            "break" | "continue" if self.loops == 0 => self.fail(format!("{name:?} outside loop")),
            "break" => Ok(Kind::Break),
            "continue" => Ok(Kind::Continue),
            "include" | "import" | "from" | "extends" => {
                while *self.peek() != Token::BlockEnd {
                    if *self.peek() == Token::End {
                        return self.unexpected("end of statement block");
                    }
                    self.next();
                }
                Ok(Kind::Load(match name.as_str() {
                    "include" => "include",
                    "import" => "import",
                    "from" => "from",
                    _ => "extends",
                }))
            }
            _ if ends.is_empty() => self.fail(format!("encountered unknown tag {name:?}")),
            _ => self.fail(format!("encountered unknown tag {name:?}, looking for {}", ends.join(" or "))),
        }
    }

    fn if_statement(&mut self) -> Result<Kind> {
        let mut branches = Vec::new();
        loop {
            let test = self.tuple(false)?;
            let (body, end) = self.inner(&["elif", "else", "endif"])?;
            branches.push((test, body));
            match &*end {
                "elif" => {}
                "else" => return Ok(Kind::If(branches, self.inner(&["endif"])?.0)),
                _ => return Ok(Kind::If(branches, Vec::new())),
            }
        }
    }

    fn for_statement(&mut self) -> Result<Kind> {
        self.loops_around += 1;
        let target = self.target(false, &["in"])?;
        self.loops_around -= 1;
        self.expect_name("in")?;
        let iter = self.tuple_until(false, &["recursive"])?;
        let test = if self.skip_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_name("recursive");
        self.loops += 1;
        self.loops_around += 1;
        let inner = self.with_soft(false, |this| this.inner(&["endfor", "else"]));
        self.loops -= 1;
        self.loops_around -= 1;
        let (body, end) = inner?;
        let other = if &*end == "else" { self.frame("endfor")? } else { Vec::new() };
        Ok(Kind::For(Arc::new(For { target, iter, test, recursive, body, other })))
    }

    fn signature(&mut self) -> Result<Vec<(Name, Option<Expr>)>> {
        self.expect_op("(")?;
        let mut arguments: Vec<(Name, Option<Expr>)> = Vec::new();
        while !self.is_op(")") {
            if !arguments.is_empty() {
                self.expect_op(",")?;
            }
            let name = self.name()?;
            if arguments.iter().any(|(other, _)| *other == name) {
                return self.fail(format!("duplicate argument {name:?}"));
            }
            let default = if self.skip_op("=") { Some(self.expression()?) } else { None };
            if default.is_none() && arguments.last().is_some_and(|(_, default)| default.is_some()) {
                return self.fail("non-default argument follows default argument");
            }
            arguments.push((name, default));
        }
        self.expect_op(")")?;
        Ok(arguments)
    }

    fn macro_from(&mut self, name: Option<Name>, signature: bool, end: &str) -> Result<Macro> {
        let arguments = if signature { self.signature()? } else { Vec::new() };
        self.macro_body(name, arguments, end)
    }

    fn macro_body(&mut self, name: Option<Name>, arguments: Vec<(Name, Option<Expr>)>, end: &str) -> Result<Macro> {
        let before = self.loaded.len();
        // A loop around a macro is not around its body.
        let loops = std::mem::take(&mut self.loops);
        let body = self.frame(end)?;
        self.loops = loops;
        let given = |name: &str| arguments.iter().find(|(argument, _)| &**argument == name);
        let loads = |name: &str| self.loaded[before..].iter().any(|loaded| &**loaded == name);
        if loads("caller") && given("caller").is_some_and(|(_, default)| default.is_none()) {
            return self.fail("the special argument \"caller\" must be left out or have a default");
        }
        let reads = |name: &str| given(name).is_none() && loads(name);
        let (varargs, kwargs, caller) = (reads("varargs"), reads("kwargs"), reads("caller"));
        Ok(Macro { name, arguments, body, varargs, kwargs, caller })
    }

    /// What is assigned to. With `attributes`, also `namespace.attribute`.
    fn target(&mut self, attributes: bool, ends: &[&str]) -> Result<Target> {
        let mut targets = Vec::new();
        let mut is_tuple = false;
        loop {
            if !targets.is_empty() && (ends.iter().any(|end| self.is_name(end)) || self.is_op("=") || self.is_op(")")) {
                break;
            }
            targets.push(self.deeper(|this| this.single_target(attributes))?);
            if !self.skip_op(",") {
                break;
            }
            is_tuple = true;
        }
        if is_tuple { Ok(Target::Tuple(targets)) } else { Ok(targets.remove(0)) }
    }

    fn single_target(&mut self, attributes: bool) -> Result<Target> {
        if self.skip_op("(") {
            let target = self.target(attributes, &[])?;
            self.expect_op(")")?;
            return Ok(target);
        }
        let name = self.name()?;
        if ["true", "false", "none", "True", "False", "None"].contains(&&*name) {
            return self.fail(format!("can't assign to {name:?}"));
        }
        if &*name == "loop" && self.loops_around > 0 {
            return self.fail("Can't assign to special loop variable in for-loop");
        }
        if attributes && self.skip_op(".") {
            return Ok(Target::Attr(name, self.name()?));
        }
        Ok(Target::Name(name))
    }
}
