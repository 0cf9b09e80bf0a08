//! One JSON object as typed fields: what is read from it, and what becomes of the rest.

use std::fmt::Display;

use serde_json::{Map, Value};

use crate::error::{Checked, FieldError, one_line, shown};
use crate::values::{ANY, LIST, OBJECT, Rule};

/// A field of the file that the model does not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredField {
    /// As in the file, dotted where nested: `rope_scaling.factor`.
    pub name: String,
    /// Its value as JSON.
    pub value: String,
    /// Why it has no use, as half a sentence.
    pub why: String,
}

/// A field that decides nothing. A file may have it; an override of it is refused.
pub(crate) struct Unused {
    pub field: IgnoredField,
    /// Whether the user is warned of it. A file may carry in silence what it switched off itself.
    pub warned: bool,
    /// The known name that it may be a slip for.
    pub near: Option<Name>,
}

/// What becomes of a field that was not read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    Refused,
    /// Ignored with a warning.
    Warned,
    /// Known to be harmless.
    Silent,
}

/// Names of fields, whether a value beside null leaves the result as it is, and why others are refused or ignored.
pub(crate) type Row<'a, C = ()> = (&'a [&'a str], fn(&Value, &C) -> bool, &'a str);

/// A field's name in version 5's dialect.
pub(crate) type Name = &'static str;

/// The fields of one JSON object.
pub(crate) struct Fields {
    /// Stands before every name in an error: `""`, or `"rope_parameters."` for the nested object.
    prefix: String,
    object: Map<String, Value>,
    /// The names that were asked for, whether or not the object has them.
    read: Vec<Name>,
    pub unused: Vec<Unused>,
    /// The family's word, for messages.
    pub family: String,
}

impl Fields {
    pub fn new(prefix: String, object: Map<String, Value>) -> Self {
        Self { prefix, object, read: Vec::new(), unused: Vec::new(), family: String::new() }
    }

    fn nested(name: &str, value: &Value) -> Checked<Self> {
        let object = OBJECT.read(name, value)?;
        Ok(Self::new(format!("{name}."), object))
    }

    /// A field that may be absent, but not null.
    pub fn get<T>(&mut self, name: Name, rule: Rule<T>, absent: T) -> Checked<T> {
        self.read.push(name);
        match self.object.get(name) {
            Some(value) => rule.read(&self.full_name(name), value),
            None => Ok(absent),
        }
    }

    /// A field that may be absent, and whose null is `None`.
    pub fn optional<T>(&mut self, name: Name, rule: Rule<T>, absent: Option<T>) -> Checked<Option<T>> {
        self.read.push(name);
        match self.object.get(name) {
            Some(Value::Null) => Ok(None),
            Some(value) => rule.read(&self.full_name(name), value).map(Some),
            None => Ok(absent),
        }
    }

    /// A field that decides nothing when a model runs, `why` says for what reason: a value that breaks the rule is as good as
    /// none, with a warning.
    pub fn without_say<T>(&mut self, name: Name, rule: Rule<T>, why: &str) -> Option<T> {
        let value = self.object.get(name);
        let read = value.and_then(|value| rule.read(name, value).ok());
        let breaks = read.is_none() && value.is_some_and(|value| !value.is_null());
        self.idle(&[name], breaks, why);
        read
    }

    /// A field that must be there, and not be null; `fix` says why, or what to do.
    pub fn required<T>(&mut self, name: Name, rule: Rule<T>, fix: &str) -> Checked<T> {
        let value = self.optional(name, rule, None)?;
        value.ok_or_else(|| self.missing(name, fix))
    }

    /// A list whose entries keep a rule. Absent or null, it is `None`.
    pub fn list<T>(&mut self, name: Name, rule: Rule<T>) -> Checked<Option<Vec<T>>> {
        let Some(list) = self.optional(name, LIST, None)? else {
            return Ok(None);
        };
        let name = self.full_name(name);
        let entries = list.iter().enumerate();
        let entries = entries.map(|(i, value)| rule.read(&format!("{name}[{i}]"), value));
        entries.collect::<Checked<_>>().map(Some)
    }

    /// A nested object, which must be there.
    pub fn object(&mut self, name: Name, fix: &str) -> Checked<Self> {
        let value = self.required(name, ANY, fix)?;
        Self::nested(&self.full_name(name), &value)
    }

    /// The values of all fields, which must be objects, in the file's order.
    pub fn objects(&self) -> Checked<Vec<Self>> {
        let fields = self.object.iter();
        let nested = fields.map(|(name, value)| Self::nested(&self.full_name(name), value));
        nested.collect()
    }

    /// Says why these fields decide nothing: an override of one is refused, and if `warned`, the user is told of a value.
    pub fn idle(&mut self, names: &[Name], warned: bool, why: &str) {
        for &name in names {
            self.read.push(name);
            if let Some(value) = self.object.get(name) {
                self.unused.push(self.note(name, value, why, warned && !value.is_null()));
            }
        }
    }

    /// The fields that decide nothing: first those that were not read, judged by the first table that has their name,
    /// or as `others`. A misspelt name may be one of `known`.
    ///
    /// # Errors
    /// The first field that would change the result.
    pub fn rest<C>(
        self,
        tables: &[(Verdict, &[Row<C>])],
        context: &C,
        others: (Verdict, &str),
        known: &[Name],
    ) -> Checked<Vec<Unused>> {
        let known = [&self.read, known].concat();
        let mut unused = Vec::new();
        for (name, value) in &self.object {
            let name = name.as_str();
            if self.read.contains(&name) {
                continue;
            }
            let row = tables.iter().find_map(|&(verdict, rows)| {
                let row = rows.iter().find(|(names, ..)| names.contains(&name))?;
                Some((verdict, row))
            });
            let (verdict, why) = match row {
                Some((verdict, &(_, is_neutral, why))) => {
                    let is_neutral = value.is_null() || is_neutral(value, context);
                    if is_neutral && verdict == Verdict::Refused {
                        continue; // An override may take a refused field out.
                    }
                    (if is_neutral { Verdict::Silent } else { verdict }, why)
                }
                None if value.is_null() => (Verdict::Silent, "it is null and no field of the model"),
                None => others,
            };
            if verdict == Verdict::Refused {
                let name = self.full_name(name);
                return Err(FieldError::unsupported(&name, shown(value), why));
            }
            unused.push(Unused {
                near: nearest(name, &known),
                ..self.note(name, value, why, verdict == Verdict::Warned)
            });
        }
        unused.extend(self.unused);
        Ok(unused)
    }

    fn note(&self, name: &str, value: &Value, why: &str, warned: bool) -> Unused {
        let field = IgnoredField { name: self.full_name(name), value: glass_json::shown(value), why: why.to_owned() };
        Unused { field, warned, near: None }
    }

    /// The name as errors show it, dotted where nested.
    fn full_name(&self, name: &str) -> String {
        format!("{}{}", self.prefix, one_line(name))
    }

    pub fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    pub fn missing(&self, name: &str, fix: &str) -> FieldError {
        FieldError::new(&self.full_name(name), format!("is missing: {fix}"))
    }

    /// # Errors
    /// Unless the field's rule holds.
    pub fn check(&self, holds: bool, name: &str, value: impl Display, rule: impl Display) -> Checked<()> {
        let error = || FieldError::invalid(&self.full_name(name), value, rule);
        if holds { Ok(()) } else { Err(error()) }
    }
}

/// The known name closest to a misspelt one.
fn nearest(name: &str, names: &[Name]) -> Option<Name> {
    let distance = |candidate: &&&str| strsim::osa_distance(name, candidate);
    let best = names.iter().min_by_key(distance)?;
    // A name that is known was not misspelt, and with a third of its letters wrong it is another.
    let misspelt = 1..=name.chars().count() / 3;
    misspelt.contains(&distance(&best)).then_some(best)
}

// Neutral values beside null.

pub(crate) fn none<C>(_: &Value, _: &C) -> bool {
    false
}

pub(crate) fn off<C>(value: &Value, _: &C) -> bool {
    value == false
}

pub(crate) fn one<C>(value: &Value, _: &C) -> bool {
    value.as_f64() == Some(1.0)
}

pub(crate) fn empty<C>(value: &Value, _: &C) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}
