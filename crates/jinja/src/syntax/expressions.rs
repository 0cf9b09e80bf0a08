//! Expressions, in the order of their precedence.

use super::{
    ast::{Args, Binary, Compare, Expr, Name},
    lexer::Token,
    parser::{Parser, describe},
};
use crate::{error::Result, library};

impl Parser {
    pub fn expression(&mut self) -> Result<Expr> {
        self.deeper(Self::condition)
    }

    fn expression_or(&mut self, with_condition: bool) -> Result<Expr> {
        if with_condition { self.expression() } else { self.deeper(Self::or) }
    }

    /// One expression, or several with commas: a tuple.
    pub fn tuple(&mut self, with_condition: bool) -> Result<Expr> {
        self.tuple_until(with_condition, &[])
    }

    pub fn tuple_until(&mut self, with_condition: bool, ends: &[&str]) -> Result<Expr> {
        match self.elements(with_condition, ends)? {
            Ok(single) => Ok(single),
            Err(elements) if elements.is_empty() => {
                self.fail(format!("expected an expression, got {:?}", describe(self.peek())))
            }
            Err(elements) => Ok(Expr::Tuple(elements)),
        }
    }

    /// A single expression, or the elements of a tuple.
    fn elements(&mut self, with_condition: bool, ends: &[&str]) -> Result<std::result::Result<Expr, Vec<Expr>>> {
        let mut elements = Vec::new();
        let mut is_tuple = false;
        loop {
            let ended = matches!(self.peek(), Token::PrintEnd | Token::BlockEnd)
                || self.is_op(")")
                || ends.iter().any(|end| self.is_name(end));
            if ended {
                break;
            }
            elements.push(self.expression_or(with_condition)?);
            if !self.skip_op(",") {
                break;
            }
            is_tuple = true;
        }
        Ok(if !is_tuple && elements.len() == 1 { Ok(elements.remove(0)) } else { Err(elements) })
    }

    fn condition(&mut self) -> Result<Expr> {
        let unknown = self.unknown.len();
        let mut value = self.or()?;
        while self.skip_name("if") {
            // The value turns out to stand behind a condition.
            self.unknown.truncate(unknown);
            value = self.with_soft(true, |this| {
                let test = this.or()?;
                let other = if this.skip_name("else") { Some(Box::new(this.deeper(Self::condition)?)) } else { None };
                Ok(Expr::If { test: Box::new(test), then: Box::new(value), other })
            })?;
        }
        Ok(value)
    }

    fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.skip_name("or") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.skip_name("and") {
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if self.skip_name("not") {
            return Ok(Expr::Not(Box::new(self.deeper(Self::not)?)));
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let operator = match self.peek() {
                Token::Op("==") => Compare::Eq,
                Token::Op("!=") => Compare::Ne,
                Token::Op("<") => Compare::Lt,
                Token::Op("<=") => Compare::Le,
                Token::Op(">") => Compare::Gt,
                Token::Op(">=") => Compare::Ge,
                Token::Name(name) if name == "in" => Compare::In,
                Token::Name(name) if name == "not" && *self.peek_second() == Token::Name("in".to_owned()) => {
                    self.next();
                    Compare::NotIn
                }
                _ => break,
            };
            self.next();
            rest.push((operator, self.sum()?));
        }
        Ok(if rest.is_empty() { first } else { Expr::Compare(Box::new(first), rest) })
    }

    fn sum(&mut self) -> Result<Expr> {
        self.binary(&[("+", Binary::Add), ("-", Binary::Sub)], Self::concat)
    }

    fn concat(&mut self) -> Result<Expr> {
        let mut parts = vec![self.product()?];
        while self.skip_op("~") {
            parts.push(self.product()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Concat(parts) })
    }

    fn product(&mut self) -> Result<Expr> {
        let operators = [("*", Binary::Mul), ("/", Binary::Div), ("//", Binary::FloorDiv), ("%", Binary::Mod)];
        self.binary(&operators, Self::power)
    }

    fn power(&mut self) -> Result<Expr> {
        self.binary(&[("**", Binary::Pow)], |this| this.unary(true))
    }

    fn binary(&mut self, operators: &[(&str, Binary)], operand: impl Fn(&mut Self) -> Result<Expr>) -> Result<Expr> {
        let mut left = operand(self)?;
        while let Some(&(_, operator)) = operators.iter().find(|(sign, _)| self.is_op(sign)) {
            self.next();
            left = Expr::Binary(operator, Box::new(left), Box::new(operand(self)?));
        }
        Ok(left)
    }

    fn unary(&mut self, with_filter: bool) -> Result<Expr> {
        let value = if self.skip_op("-") {
            Expr::Neg(Box::new(self.deeper(|this| this.unary(false))?))
        } else if self.skip_op("+") {
            Expr::Pos(Box::new(self.deeper(|this| this.unary(false))?))
        } else {
            self.primary()?
        };
        let mut value = self.postfix(value)?;
        if !with_filter {
            return Ok(value);
        }
        loop {
            if self.is_op("|") {
                value = self.filters(value)?;
            } else if self.is_name("is") {
                value = self.test(value)?;
            } else if self.is_op("(") {
                value = Expr::Call(Box::new(value), self.args()?);
            } else {
                return Ok(value);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr> {
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

    fn postfix(&mut self, mut value: Expr) -> Result<Expr> {
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

    fn test(&mut self, value: Expr) -> Result<Expr> {
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
