//! What operators stand between: values, and the items, calls, filters and tests that follow them.

use super::{
    ast::{Args, Expr, Name},
    lexer::Token,
    parser::{Parser, describe},
};
use crate::{error::Result, library};

impl Parser {
    pub fn primary(&mut self) -> Result<Expr> {
        let token = self.peek().clone();
        match token {
            Token::Name(name) => {
                self.next();
                Ok(match name.as_str() {
                    "true" | "True" => Expr::Bool(true),
                    "false" | "False" => Expr::Bool(false),
                    "none" | "None" => Expr::None,
                    _ => {
                        let name = Name::from(name);
                        self.loaded.push(name.clone());
                        Expr::Name(name)
                    }
                })
            }
            Token::Str(mut text) => {
                self.next();
                while let Token::Str(more) = self.peek() {
                    text.push_str(more);
                    self.next();
                }
                Ok(Expr::Str(text.into()))
            }
            Token::Int(value) => {
                self.next();
                Ok(Expr::Int(value))
            }
            Token::Float(value) => {
                self.next();
                Ok(Expr::Float(value))
            }
            Token::Op("(") => {
                self.next();
                let elements = self.elements(true, &[])?;
                self.expect_op(")")?;
                Ok(elements.unwrap_or_else(Expr::Tuple))
            }
            Token::Op("[") => {
                self.next();
                let mut items = Vec::new();
                while !self.is_op("]") {
                    items.push(self.expression()?);
                    if !self.skip_op(",") {
                        break;
                    }
                }
                self.expect_op("]")?;
                Ok(Expr::List(items))
            }
            Token::Op("{") => {
                self.next();
                let mut items = Vec::new();
                while !self.is_op("}") {
                    let key = self.expression()?;
                    self.expect_op(":")?;
                    items.push((key, self.expression()?));
                    if !self.skip_op(",") {
                        break;
                    }
                }
                self.expect_op("}")?;
                Ok(Expr::Dict(items))
            }
            token => self.fail(format!("unexpected {:?}", describe(&token))),
        }
    }

    pub fn postfix(&mut self, mut value: Expr) -> Result<Expr> {
        loop {
            if self.skip_op(".") {
                value = match self.next() {
                    Token::Name(name) => Expr::Attr(Box::new(value), name.into()),
                    Token::Int(index) => Expr::Item(Box::new(value), Box::new(Expr::Int(index))),
                    _ => return self.fail("expected name or number"),
                };
            } else if self.skip_op("[") {
                value = self.subscript(value)?;
            } else if self.is_op("(") {
                value = Expr::Call(Box::new(value), self.args()?);
            } else {
                return Ok(value);
            }
        }
    }

    fn subscript(&mut self, value: Expr) -> Result<Expr> {
        let first = if self.is_op(":") { None } else { Some(self.expression()?) };
        if !self.is_op(":") {
            let Some(first) = first else { return self.unexpected("expression") };
            let mut items = vec![first];
            while self.skip_op(",") {
                items.push(self.expression()?);
            }
            self.expect_op("]")?;
            let item = if items.len() == 1 { items.remove(0) } else { Expr::Tuple(items) };
            return Ok(Expr::Item(Box::new(value), Box::new(item)));
        }
        let mut parts = [first.map(Box::new), None, None];
        for part in &mut parts[1..] {
            if self.skip_op(":") && !self.is_op(":") && !self.is_op("]") {
                *part = Some(Box::new(self.expression()?));
            }
        }
        self.expect_op("]")?;
        Ok(Expr::Slice(Box::new(value), parts))
    }

    pub fn args(&mut self) -> Result<Args> {
        self.expect_op("(")?;
        let mut args = Args::default();
        let mut first = true;
        while !self.is_op(")") {
            if !first {
                self.expect_op(",")?;
                if self.is_op(")") {
                    break;
                }
            }
            first = false;
            let named = matches!((self.peek(), self.peek_second()), (Token::Name(_), Token::Op("=")));
            let fits = if self.is_op("*") {
                args.list.is_none() && args.dict.is_none()
            } else if self.is_op("**") || named {
                args.dict.is_none()
            } else {
                args.list.is_none() && args.dict.is_none() && args.named.is_empty()
            };
            if !fits {
                return self.fail("invalid syntax for function call expression");
            }
            if self.skip_op("*") {
                args.list = Some(Box::new(self.expression()?));
            } else if self.skip_op("**") {
                args.dict = Some(Box::new(self.expression()?));
            } else if named {
                let name = self.name()?;
                self.next();
                args.named.push((name, self.expression()?));
            } else {
                args.positional.push(self.expression()?);
            }
        }
        self.expect_op(")")?;
        Ok(args)
    }

    fn dotted_name(&mut self) -> Result<Name> {
        let mut name = self.name()?.to_string();
        while self.skip_op(".") {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name.into())
    }

    /// `|name(args)` as often as it stands here.
    pub fn filters(&mut self, mut value: Expr) -> Result<Expr> {
        while self.skip_op("|") {
            value = self.filter(value)?;
        }
        Ok(value)
    }

    pub fn filter(&mut self, value: Expr) -> Result<Expr> {
        let name = self.dotted_name()?;
        if !library::is_filter(&name) {
            self.note_unknown("filter", &name);
        }
        let args = if self.is_op("(") { self.args()? } else { Args::default() };
        Ok(Expr::Filter(Box::new(value), name, args))
    }

    pub fn test(&mut self, value: Expr) -> Result<Expr> {
        self.next();
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        if !library::is_test(&name) {
            self.note_unknown("test", &name);
        }
        let mut args = Args::default();
        let takes_one = match self.peek() {
            Token::Name(name) if name == "is" => return self.fail("You cannot chain multiple tests with is"),
            Token::Name(name) => !["else", "or", "and"].contains(&name.as_str()),
            Token::Str(_) | Token::Int(_) | Token::Float(_) | Token::Op("[" | "{") => true,
            _ => false,
        };
        if self.is_op("(") {
            args = self.args()?;
        } else if takes_one {
            let argument = self.primary()?;
            args.positional.push(self.postfix(argument)?);
        }
        let test = Expr::Test(Box::new(value), name, args);
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }
}
