//! Filters that compare the items of a list, or an attribute of theirs.

use std::{cmp::Ordering, rc::Rc};

use super::{at_path, ignore_case, is_set, sequences::sorted};
use crate::{
    error::Result,
    render::Args,
    values::{Value, check_hashable, equal, iterate, order},
};

pub(super) fn filter(name: &str, value: &Value, args: Args) -> Result<Value> {
    match name {
        "sort" => {
            let [reverse, case, attribute] = args.bind(name, ["reverse", "case_sensitive", "attribute"], 0)?;
            let attribute = attribute.unwrap_or(Value::None);
            // Several attributes, with commas between them.
            let paths: Vec<Value> = match attribute.as_str() {
                Some(paths) => paths.split(',').map(Value::str).collect(),
                None => vec![attribute],
            };
            let keyed = iterate(value)?.into_iter().map(|item| {
                let keys: Result<_> = paths.iter().map(|path| key(&item, path, is_set(&case), None)).collect();
                Ok((Value::list(keys?), item))
            });
            sorted(keyed.collect::<Result<_>>()?, is_set(&reverse)).map(Value::list)
        }
        "unique" => {
            let [case, attribute] = args.bind(name, ["case_sensitive", "attribute"], 0)?;
            let attribute = attribute.unwrap_or(Value::None);
            let mut seen: Vec<Value> = Vec::new();
            let mut kept = Vec::new();
            for item in iterate(value)? {
                let found =
                    key(&item, &attribute, is_set(&case), None).and_then(|key| check_hashable(&key).map(|()| key));
                match found {
                    Ok(key) if seen.iter().any(|known| equal(known, &key)) => {}
                    Ok(key) => {
                        seen.push(key);
                        kept.push(Ok(item));
                    }
                    Err(error) => kept.push(Err(error)),
                }
            }
            Ok(Value::iter("generator", kept))
        }
        "groupby" => group_by(value, args),
        _ => {
            let [case, attribute] = args.bind(name, ["case_sensitive", "attribute"], 0)?;
            let attribute = attribute.unwrap_or(Value::None);
            let better = if name == "min" { Ordering::Less } else { Ordering::Greater };
            let mut best: Option<(Value, Value)> = None;
            for item in iterate(value)? {
                let key = key(&item, &attribute, is_set(&case), None)?;
                let wins = match &best {
                    None => true,
                    Some((best, _)) => order(&key, best, if name == "min" { "<" } else { ">" })? == Some(better),
                };
                if wins {
                    best = Some((key, item));
                }
            }
            let none = || Value::undefined("No aggregated item, sequence was empty.");
            Ok(best.map_or_else(none, |(_, item)| item))
        }
    }
}

fn key(item: &Value, attribute: &Value, case_sensitive: bool, default: Option<&Value>) -> Result<Value> {
    let value = at_path(item, attribute, default)?;
    Ok(if case_sensitive { value } else { ignore_case(value) })
}

fn group_by(value: &Value, args: Args) -> Result<Value> {
    let [attribute, default, case] = args.bind("groupby", ["attribute", "default", "case_sensitive"], 1)?;
    let attribute = attribute.unwrap_or(Value::None);
    let case = is_set(&case);
    let keyed = iterate(value)?.into_iter().map(|item| Ok((key(&item, &attribute, case, default.as_ref())?, item)));
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for item in sorted(keyed.collect::<Result<_>>()?, false)? {
        let key = key(&item, &attribute, case, default.as_ref())?;
        match groups.last_mut().filter(|(last, _)| equal(last, &key)) {
            Some((_, items)) => items.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    let groups = groups.into_iter().map(|(key, items)| {
        // The name of a group is that of its first item.
        let name = if case { key } else { at_path(&items[0], &attribute, default.as_ref())? };
        Ok(Value::Group(Rc::new(vec![name, Value::list(items)])))
    });
    groups.collect::<Result<_>>().map(Value::list)
}
