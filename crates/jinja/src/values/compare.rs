//! Python's `==` and `<`.

use std::{cmp::Ordering, rc::Rc};

use super::{Value, View};
use crate::error::{Result, type_error};

pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    use Value::*;
    match (a, b) {
        (Undefined(_), Undefined(_)) | (None, None) => true,
        (Str(a) | Markup(a), Str(b) | Markup(b)) => a == b,
        (Bytes(a), Bytes(b)) => a == b,
        (List(a), List(b)) | (Tuple(a) | Group(a), Tuple(b) | Group(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b))
        }
        (Dict(a), Dict(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
        }
        // Views are sets, but for the values.
        (View(kind @ (super::View::Keys | super::View::Items), a), View(other, b)) if kind == other => {
            let within = |key, value| b.get(key).is_some_and(|other| *kind == super::View::Keys || equal(value, other));
            a.len() == b.len() && a.iter().all(|(key, value)| within(key, value))
        }
        (Range(a), Range(b)) => {
            a.len() == b.len() && (a.len() == 0 || a.start == b.start && (a.len() == 1 || a.step == b.step))
        }
        (Function(a), Function(b)) => a == b,
        (Method(a), Method(b)) => a.1 == b.1 && same(&a.0, &b.0),
        (Int(_) | Bool(_) | Float(_), Int(_) | Bool(_) | Float(_)) => compare_numbers(a, b) == Some(Ordering::Equal),
        _ => same(a, b),
    }
}

/// Python's `is`, as far as it can be told.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    use Value::*;
    match (a, b) {
        (None, None) => true,
        (Bool(a), Bool(b)) => a == b,
        // Small integers are one object each.
        (Int(a), Int(b)) => a == b && (-5..=256).contains(a),
        (Str(a), Str(b)) => Rc::ptr_eq(a, b) || a == b && a.chars().count() <= 1,
        (List(a), List(b)) | (Tuple(a), Tuple(b)) | (Group(a), Group(b)) => Rc::ptr_eq(a, b),
        (Dict(a), Dict(b)) => Rc::ptr_eq(a, b),
        (Undefined(a), Undefined(b)) => Rc::ptr_eq(a, b),
        (Iter(a), Iter(b)) => Rc::ptr_eq(a, b),
        (Namespace(a), Namespace(b)) => Rc::ptr_eq(a, b),
        (Loop(a), Loop(b)) => Rc::ptr_eq(a, b),
        (Cycler(a), Cycler(b)) => Rc::ptr_eq(a, b),
        (Joiner(a), Joiner(b)) => Rc::ptr_eq(a, b),
        (Macro(a), Macro(b)) => Rc::ptr_eq(a, b),
        (Function(a), Function(b)) => a == b,
        _ => false,
    }
}

/// Which comes first.
///
/// # Errors
/// Types that Python does not order.
pub(crate) fn order(a: &Value, b: &Value, sign: &str) -> Result<Option<Ordering>> {
    use Value::*;
    match (a, b) {
        (Str(a) | Markup(a), Str(b) | Markup(b)) => return Ok(Some(a.cmp(b))),
        (Bytes(a), Bytes(b)) => return Ok(Some(a.cmp(b))),
        (List(a), List(b)) | (Tuple(a) | Group(a), Tuple(b) | Group(b)) => {
            for (a, b) in a.iter().zip(b.iter()) {
                if !equal(a, b) {
                    return order(a, b, sign);
                }
            }
            return Ok(Some(a.len().cmp(&b.len())));
        }
        (View(kind, x), View(other, y)) if kind == other && *kind != super::View::Values => {
            return Ok(compare_sets(*kind, x, y));
        }
        (Int(_) | Bool(_) | Float(_), Int(_) | Bool(_) | Float(_)) => return Ok(compare_numbers(a, b)),
        _ => {}
    }
    a.check_defined()?;
    b.check_defined()?;
    type_error(format!("'{sign}' not supported between instances of '{}' and '{}'", a.type_name(), b.type_name()))
}

fn compare_sets(kind: View, a: &super::Dict, b: &super::Dict) -> Option<Ordering> {
    let within = |a: &super::Dict, b: &super::Dict| {
        a.iter().all(|(key, value)| b.get(key).is_some_and(|other| kind == View::Keys || equal(value, other)))
    };
    match (within(a, b), within(b, a)) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Less),
        (false, true) => Some(Ordering::Greater),
        (false, false) => None,
    }
}

/// Exactly, also where a float has more digits than an integer.
fn compare_numbers(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Float(a), b) => compare_float(*a, b.as_int()?),
        (a, Value::Float(b)) => compare_float(*b, a.as_int()?).map(Ordering::reverse),
        _ => Some(a.as_int()?.cmp(&b.as_int()?)),
    }
}

fn compare_float(a: f64, b: i128) -> Option<Ordering> {
    if a.is_nan() {
        return None;
    }
    let whole = a.trunc();
    if whole >= i128::MAX as f64 {
        return Some(Ordering::Greater);
    }
    if whole < i128::MIN as f64 {
        return Some(Ordering::Less);
    }
    let fraction = (a - whole).partial_cmp(&0.0)?;
    Some((whole as i128).cmp(&b).then(fraction))
}
