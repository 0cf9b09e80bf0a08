//! Python's values, as far as templates meet them.

mod compare;
mod dict;
mod index;
mod iterate;
mod json;
pub(crate) mod number;
mod operators;
mod repr;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use crate::{
    error::{Error, ErrorKind, Result},
    render::{Loop, MacroValue},
};

pub(crate) use compare::{equal, order, same};
pub use dict::Dict;
pub(crate) use dict::check_hashable;
pub(crate) use index::{attribute, item, slice};
pub(crate) use iterate::{contains, iterate, length};
pub(crate) use number::float_repr;
pub(crate) use operators::{binary, negative, positive};
pub(crate) use repr::{escaped, repr, repr_str, to_str};

/// A value of Python's. Cloning is cheap.
#[derive(Clone)]
pub enum Value {
    Undefined(Rc<Undefined>),
    None,
    Bool(bool),
    /// Python's are unbounded; what does not fit is an error.
    Int(i128),
    Float(f64),
    Str(Rc<str>),
    /// A text that the filter `safe` or `escape` marked: what is added to it is escaped.
    Markup(Rc<str>),
    Bytes(Rc<[u8]>),
    List(Rc<Vec<Value>>),
    Tuple(Rc<Vec<Value>>),
    /// A tuple of the filter `groupby`: its two items are called grouper and list.
    Group(Rc<Vec<Value>>),
    Dict(Rc<Dict>),
    View(View, Rc<Dict>),
    Range(Range),
    Iter(Rc<Iter>),
    Namespace(Rc<RefCell<Dict>>),
    Loop(Rc<Loop>),
    Cycler(Rc<Cycler>),
    Joiner(Rc<Joiner>),
    Macro(Rc<MacroValue>),
    /// A function of the environment.
    Function(&'static str),
    /// A method, bound to its value.
    Method(Rc<(Value, String)>),
}

/// A value that is not there.
pub struct Undefined {
    pub(crate) message: String,
    pub(crate) kind: ErrorKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum View {
    Keys,
    Values,
    Items,
}

/// `range(start, stop, step)`; `step` is not 0.
#[derive(Clone, Copy)]
pub struct Range {
    pub(crate) start: i128,
    pub(crate) stop: i128,
    pub(crate) step: i128,
}

/// An iterator, which gives each item once. The last may be the error at which it ends.
pub struct Iter {
    /// The name of its type.
    pub(crate) kind: &'static str,
    pub(crate) rest: RefCell<VecDeque<std::result::Result<Value, Error>>>,
}

pub struct Cycler {
    pub(crate) items: Vec<Value>,
    pub(crate) at: Cell<usize>,
}

pub struct Joiner {
    pub(crate) separator: Value,
    pub(crate) used: Cell<bool>,
}

impl Iter {
    /// What Python's `iter` makes of a value: of an iterator itself.
    ///
    /// # Errors
    /// A value that is not iterable.
    pub(crate) fn over(value: Value) -> Result<Rc<Self>> {
        if let Value::Iter(iter) = value {
            return Ok(iter);
        }
        let rest = iterate(&value)?.into_iter().map(Ok).collect();
        Ok(Rc::new(Self { kind: "iterator", rest: RefCell::new(rest) }))
    }

    /// # Errors
    /// The one at which the iterator ends.
    pub(crate) fn next(&self) -> Result<Option<Value>> {
        self.rest.borrow_mut().pop_front().transpose()
    }
}

impl Range {
    pub(crate) fn len(self) -> usize {
        let span = if self.step > 0 { self.stop - self.start } else { self.start - self.stop };
        if span <= 0 { 0 } else { ((span - 1) / self.step.abs() + 1) as usize }
    }

    pub(crate) fn get(self, index: usize) -> i128 {
        self.start + index as i128 * self.step
    }

    pub(crate) fn values(self) -> impl Iterator<Item = Value> {
        (0..self.len()).map(move |index| Value::Int(self.get(index)))
    }
}

impl Value {
    pub(crate) fn str(text: impl AsRef<str>) -> Self {
        Self::Str(text.as_ref().into())
    }

    pub(crate) fn list(items: Vec<Value>) -> Self {
        Self::List(Rc::new(items))
    }

    pub(crate) fn tuple(items: Vec<Value>) -> Self {
        Self::Tuple(Rc::new(items))
    }

    pub(crate) fn dict(dict: Dict) -> Self {
        Self::Dict(Rc::new(dict))
    }

    pub(crate) fn undefined(message: impl Into<String>) -> Self {
        Self::Undefined(Rc::new(Undefined { message: message.into(), kind: ErrorKind::Undefined }))
    }

    /// An attribute that the sandbox hides: using it is an error.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::Undefined(Rc::new(Undefined { message: message.into(), kind: ErrorKind::Refused }))
    }

    /// An iterator over what was computed; the first error is met where its item would be.
    pub(crate) fn iter(kind: &'static str, items: impl IntoIterator<Item = Result<Value>>) -> Self {
        let mut rest = VecDeque::new();
        for item in items {
            let failed = item.is_err();
            rest.push_back(item);
            if failed {
                break;
            }
        }
        Self::Iter(Rc::new(Iter { kind, rest: RefCell::new(rest) }))
    }

    /// A text, marked or not.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) | Self::Markup(text) => Some(text),
            _ => None,
        }
    }

    /// Items of a list or tuple.
    pub(crate) fn as_items(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) | Self::Tuple(items) | Self::Group(items) => Some(items),
            _ => None,
        }
    }

    /// An integer, as which bools count too.
    pub(crate) fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Bool(value) => Some(i128::from(*value)),
            _ => None,
        }
    }

    pub(crate) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            _ => self.as_int().map(|value| value as f64),
        }
    }

    pub(crate) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(crate) fn is_callable(&self) -> bool {
        matches!(
            self,
            // An undefined value has __call__, and fails when it is called.
            Self::Undefined(_) | Self::Loop(_) | Self::Joiner(_) | Self::Macro(_) | Self::Function(_) | Self::Method(_)
        )
    }

    /// Python's truth.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) | Self::Markup(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(items) | Self::Tuple(items) | Self::Group(items) => !items.is_empty(),
            Self::Dict(dict) | Self::View(_, dict) => dict.len() > 0,
            Self::Range(range) => range.len() > 0,
            Self::Loop(state) => state.length() > 0,
            _ => true,
        }
    }

    /// The name of its type in Python.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Markup(_) => "Markup",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Group(_) => "_GroupTuple",
            Self::Dict(_) => "dict",
            Self::View(View::Keys, _) => "dict_keys",
            Self::View(View::Values, _) => "dict_values",
            Self::View(View::Items, _) => "dict_items",
            Self::Range(_) => "range",
            Self::Iter(iter) => iter.kind,
            Self::Namespace(_) => "TemplateNamespace",
            Self::Loop(_) => "LoopContext",
            Self::Cycler(_) => "Cycler",
            Self::Joiner(_) => "Joiner",
            Self::Macro(_) => "Macro",
            Self::Function(_) => "function",
            Self::Method(_) => "builtin_function_or_method",
        }
    }

    /// The error of doing something with a value that is not defined.
    pub(crate) fn check_defined(&self) -> Result<()> {
        match self {
            Self::Undefined(undefined) => Err(Error::new(undefined.kind, undefined.message.clone())),
            _ => Ok(()),
        }
    }
}
