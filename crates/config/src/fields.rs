//! One JSON object as typed fields: what is read from it, and what becomes of the rest.

use std::fmt::Display;

use serde_json::{Map, Value};

use crate::error::{FieldError, one_line, shown};
use crate::values::{FromJson, broken};

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
    pub near: Option<&'static str>,
}

/// What becomes of a field that was not read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    Refused,
    /// Ignored with a warning.
    Warned,
    /// Known to be harmless.
    Silent,
}

/// Names of fields, whether a value of theirs leaves the result as it is, and why others are refused or ignored.
pub(crate) type Row<'a, C> = (&'a [&'a str], fn(&Value, &C) -> bool, &'a str);

/// The fields of one JSON object.
pub(crate) struct Fields {
    /// Stands before every name in an error: `""`, or `"rope_parameters."` for the nested object.
    prefix: String,
    object: Map<String, Value>,
    /// The names that were asked for, whether or not the object has them.
    read: Vec<&'static str>,
    pub unused: Vec<Unused>,
}

impl Fields {
    pub fn new(prefix: String, object: Map<String, Value>) -> Self {
        Self {
            prefix,
            object,
            read: Vec::new(),
            unused: Vec::new(),
        }
    }

    /// A field that may be absent. Null is a value: `Option<T>` has it, other types refuse it.
    pub fn get<T: FromJson>(&mut self, name: &'static str, absent: T) -> Result<T, FieldError> {
        self.read.push(name);
        match self.object.get(name) {
            Some(value) => T::from_json(&self.full_name(name), value),
            None => Ok(absent),
        }
    }

    /// A field that must be there, and not be null; `fix` says why, or what to do.
    pub fn required<T: FromJson>(
        &mut self,
        name: &'static str,
        fix: &str,
    ) -> Result<T, FieldError> {
        let field = self.get(name, None)?;
        field.ok_or_else(|| FieldError::missing(&self.full_name(name), fix))
    }

    /// Says why these fields decide nothing: an override of one is refused, and if `warned`, the user is told.
    pub fn idle(&mut self, names: &[&'static str], warned: bool, why: &str) {
        for &name in names {
            self.read.push(name);
            if let Some(value) = self.object.get(name) {
                let field = self.ignored(name, value, why);
                let near = None;
                self.unused.push(Unused {
                    field,
                    warned,
                    near,
                });
            }
        }
    }

    /// Judges the fields that were not read by the first table that has their name, or as `others`. Those that decide
    /// nothing go before the ones in `unused`.
    ///
    /// # Errors
    /// The first field that would change the result.
    pub fn rest<C>(
        &mut self,
        tables: &[(Verdict, &[Row<C>])],
        context: &C,
        others: (Verdict, &str),
        known: &[&'static str],
    ) -> Result<(), FieldError> {
        let known = [&self.read, known].concat();
        let mut unused = Vec::new();
        for (name, value) in &self.object {
            if self.read.contains(&name.as_str()) {
                continue;
            }
            let row = tables.iter().find_map(|(verdict, rows)| {
                let row = rows
                    .iter()
                    .find(|(names, ..)| names.contains(&name.as_str()))?;
                Some((*verdict, row))
            });
            let (verdict, why) = match row {
                Some((verdict, (_, neutral, why))) if neutral(value, context) => match verdict {
                    Verdict::Refused => continue,
                    Verdict::Warned | Verdict::Silent => (Verdict::Silent, *why),
                },
                Some((verdict, (.., why))) => (verdict, *why),
                None if value.is_null() => {
                    (Verdict::Silent, "it is null and no field of the model")
                }
                None => others,
            };
            let warned = match verdict {
                Verdict::Refused => {
                    let field = self.full_name(name);
                    return Err(FieldError::unsupported(&field, shown(value), why));
                }
                Verdict::Warned => true,
                Verdict::Silent => false,
            };
            let field = self.ignored(name, value, why);
            let near = nearest(name, &known);
            unused.push(Unused {
                field,
                warned,
                near,
            });
        }
        unused.append(&mut self.unused);
        self.unused = unused;
        Ok(())
    }

    fn ignored(&self, name: &str, value: &Value, why: &str) -> IgnoredField {
        IgnoredField {
            name: self.full_name(name),
            value: value.to_string(),
            why: why.to_owned(),
        }
    }

    /// The name as errors show it, dotted where nested.
    pub fn full_name(&self, name: &str) -> String {
        format!("{}{}", self.prefix, one_line(name))
    }

    pub fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// # Errors
    /// Unless the rule of the field holds.
    pub fn check(
        &self,
        holds: bool,
        name: &str,
        value: impl Display,
        rule: impl Display,
    ) -> Result<(), FieldError> {
        FieldError::check(holds, &self.full_name(name), value, rule)
    }

    /// The values of all fields, which must be objects, in the file's order.
    pub fn objects(self) -> Result<Vec<Self>, FieldError> {
        let fields = self.object.iter();
        let fields = fields.map(|(name, value)| Self::from_json(&self.full_name(name), value));
        fields.collect()
    }
}

impl FromJson for Fields {
    fn from_json(field: &str, value: &Value) -> Result<Self, FieldError> {
        let object = value.as_object().cloned();
        let object = object.ok_or_else(|| broken(field, value, "must be an object"))?;
        Ok(Self::new(format!("{field}."), object))
    }
}

/// The known name closest to a misspelt one.
fn nearest(name: &str, names: &[&'static str]) -> Option<&'static str> {
    let distance = |candidate: &&&str| strsim::osa_distance(name, candidate);
    let best = names.iter().min_by_key(distance)?;
    // A name that is known was not misspelt, and with a third of its letters wrong it is another.
    let misspelt = 1..=name.chars().count() / 3;
    misspelt.contains(&distance(&best)).then_some(best)
}

// Neutral values.

pub(crate) fn null<C>(value: &Value, _: &C) -> bool {
    value.is_null()
}

pub(crate) fn off<C>(value: &Value, _: &C) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
}

pub(crate) fn one<C>(value: &Value, _: &C) -> bool {
    value.is_null() || value.as_f64() == Some(1.0)
}

pub(crate) fn empty<C>(value: &Value, _: &C) -> bool {
    value.is_null()
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(Map::is_empty)
}
