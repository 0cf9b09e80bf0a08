//! The functions that every template has.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use crate::{
    error::{Error, ErrorKind, Result, refused, type_error, value_error},
    render::{Args, Renderer},
    values::{Cycler, Dict, Joiner, Range, Value, repr_str, to_str},
};

const FUNCTIONS: [&str; 8] =
    ["cycler", "dict", "joiner", "lipsum", "namespace", "raise_exception", "range", "strftime_now"];

/// Jinja's sandbox allows no longer range.
const MAX_RANGE: usize = 100_000;

pub(crate) fn global(name: &str) -> Option<Value> {
    FUNCTIONS.into_iter().find(|function| *function == name).map(Value::Function)
}

/// # Errors
/// What the function raises.
pub(crate) fn call(renderer: &mut Renderer<'_>, name: &str, args: Args) -> Result<Value> {
    match name {
        "cycler" => {
            if !args.named.is_empty() {
                return type_error("cycler() takes no keyword arguments");
            }
            if args.positional.is_empty() {
                return value_error("at least one item has to be provided");
            }
            Ok(Value::Cycler(Rc::new(Cycler { items: args.positional, at: Cell::new(0) })))
        }
        "dict" => dict(args).map(Value::dict),
        "joiner" => {
            let [separator] = args.bind(name, ["sep"], 0)?;
            let separator = separator.unwrap_or_else(|| Value::str(", "));
            Ok(Value::Joiner(Rc::new(Joiner { separator, used: Cell::new(false) })))
        }
        "namespace" => {
            let attributes = dict(args)?;
            if let Some(hidden) = attributes.keys().filter_map(Value::as_str).find(|name| name.starts_with('_')) {
                return refused(format!("a namespace cannot have the attribute {}", repr_str(hidden)));
            }
            Ok(Value::Namespace(Rc::new(RefCell::new(attributes))))
        }
        "raise_exception" => {
            let [message] = args.bind(name, ["message"], 1)?;
            // Python shows an exception without a message as nothing.
            let message = message.filter(|message| !message.is_none()).map(|message| to_str(&message));
            Err(Error::new(ErrorKind::Raised, message.unwrap_or_else(|| "None".to_owned())))
        }
        "range" => range(args),
        "strftime_now" => {
            let [format] = args.bind(name, ["format"], 1)?;
            let format = format.unwrap_or(Value::None);
            match format.as_str() {
                Some(format) => Ok(Value::str((renderer.now)(format))),
                None => type_error(format!("strftime() argument 1 must be str, not {}", format.type_name())),
            }
        }
        _ => refused(format!("{name}() is not supported: it gives another text every time")),
    }
}

fn dict(args: Args) -> Result<Dict> {
    let mut dict = Dict::new();
    match args.positional.as_slice() {
        [] => {}
        [from] => dict.extend(from)?,
        more => return type_error(format!("dict expected at most 1 argument, got {}", more.len())),
    }
    for (name, value) in args.named {
        dict.set(&name, value);
    }
    Ok(dict)
}

fn range(args: Args) -> Result<Value> {
    let [first, second, step] = args.positional("range", 1)?;
    let int = |value: Option<Value>, default: i128| match value {
        None => Ok(default),
        Some(value) => {
            value.check_defined()?;
            value.as_int().map_or_else(
                || type_error(format!("'{}' object cannot be interpreted as an integer", value.type_name())),
                Ok,
            )
        }
    };
    let (start, stop) = match second {
        None => (0, int(first, 0)?),
        second => (int(first, 0)?, int(second, 0)?),
    };
    let step = int(step, 1)?;
    if step == 0 {
        return value_error("range() arg 3 must not be zero");
    }
    let range = Range { start, stop, step };
    if range.len() > MAX_RANGE {
        return refused(format!("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MAX_RANGE})."));
    }
    Ok(Value::Range(range))
}
