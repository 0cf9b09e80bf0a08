//! Filters that apply another filter or a test to every item.

use super::at_path;
use crate::{
    error::{Error, ErrorKind, Result},
    render::{Args, Named, Renderer},
    values::{Value, iterate},
};

pub(super) fn filter(renderer: &mut Renderer<'_>, name: &str, value: &Value, args: Args) -> Result<Value> {
    // A generator: what goes wrong does so when an item is asked for.
    let items = match results(renderer, name, value, args) {
        Ok(items) => items,
        Err(error) => vec![Err(error)],
    };
    Ok(Value::iter("generator", items))
}

fn results(renderer: &mut Renderer<'_>, name: &str, value: &Value, mut args: Args) -> Result<Vec<Result<Value>>> {
    if !value.is_true() {
        return Ok(Vec::new());
    }
    let missing = |what: &str| Error::new(ErrorKind::Value, what);
    let mut out = Vec::new();
    if name == "map" {
        let attribute = if args.positional.is_empty() { args.named.take("attribute") } else { None };
        if let Some(attribute) = attribute {
            let default = args.named.take("default");
            if let Some((unknown, _)) = args.named.first() {
                return Err(missing(&format!("Unexpected keyword argument {unknown:?}")));
            }
            return Ok(iterate(value)?.iter().map(|item| at_path(item, &attribute, default.as_ref())).collect());
        }
        if args.positional.is_empty() {
            return Err(missing("map requires a filter argument"));
        }
        let filter = args.positional.remove(0);
        let filter = filter.as_str().unwrap_or_default();
        for item in iterate(value)? {
            out.push(super::filter(renderer, filter, item, args.clone()));
        }
        return Ok(out);
    }
    let attribute = if name.ends_with("attr") {
        if args.positional.is_empty() {
            return Err(missing("Missing parameter for attribute name"));
        }
        Some(args.positional.remove(0))
    } else {
        None
    };
    let test = if args.positional.is_empty() { None } else { Some(args.positional.remove(0)) };
    for item in iterate(value)? {
        let tested = attribute.as_ref().map_or_else(|| Ok(item.clone()), |path| at_path(&item, path, None));
        let holds = tested.and_then(|tested| match &test {
            Some(test) => super::test(test.as_str().unwrap_or_default(), &tested, args.clone()),
            None => Ok(Value::Bool(tested.is_true())),
        });
        match holds {
            Ok(holds) if holds.is_true() == name.starts_with("select") => out.push(Ok(item)),
            Ok(_) => {}
            Err(error) => out.push(Err(error)),
        }
    }
    Ok(out)
}
