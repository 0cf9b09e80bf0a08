//! Expressions of operators, in the order of their precedence.

use super::{
    ast::{Binary, Compare, Expr},
    lexer::Token,
    parser::{Parser, describe},
};
use crate::error::Result;

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
    pub fn elements(&mut self, with_condition: bool, ends: &[&str]) -> Result<std::result::Result<Expr, Vec<Expr>>> {
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
}
