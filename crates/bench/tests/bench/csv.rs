//! A reader of RFC 4180, as far as the tests need one.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The rows below the head; an empty field is none.
pub fn read<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let mut rows = cells(text).into_iter();
    let head = rows.next().expect("a head");
    rows.map(|row| {
        assert_eq!(row.len(), head.len(), "{row:?}");
        let fields = head.iter().zip(&row);
        let fields = fields.map(|(name, cell)| (name.clone(), value(name, cell)));
        let fields: Map<String, Value> = fields.collect();
        serde_json::from_value(fields.into()).expect("a row")
    })
    .collect()
}

/// Fields that are texts, even if there is nothing in them.
const TEXTS: [&str; 8] = [
    "device", "adapter", "dtype", "kernels", "model", "op", "phase", "base",
];

fn value(name: &str, cell: &str) -> Value {
    match serde_json::from_str(cell) {
        _ if TEXTS.contains(&name) => Value::String(cell.to_owned()),
        _ if cell.is_empty() => Value::Null,
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::String(cell.to_owned()),
    }
}

fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut inside) = (vec![], vec![], String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if inside && characters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => inside = !inside,
            ',' if !inside => row.push(std::mem::take(&mut cell)),
            '\n' if !inside => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    rows
}
