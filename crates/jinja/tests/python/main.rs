//! Templates against Jinja2 in Python: `make_cases.py` writes what that gives.

use std::{fs, path::Path};

use glass_jinja::{Dict, ErrorKind, Template, Value};
use serde_json::Value as Json;

fn values(json: &Json) -> Dict {
    let fields = json.as_object().expect("an object");
    fields.iter().map(|(name, value)| (name.clone(), Value::from(value))).collect()
}

#[test]
fn templates_give_what_they_give_in_python() {
    let file = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/cases.json"));
    let all: Json = serde_json::from_slice(&file.expect("readable")).expect("JSON");
    let values = values(&all["values"]);
    let cases = all["cases"].as_array().expect("cases");
    assert!(cases.len() > 5000);
    let mut wrong = Vec::new();
    for case in cases {
        let source = case[0].as_str().expect("a template");
        let text = Template::parse(source).and_then(|template| template.render(&values, &|format| format.to_owned()));
        match (&text, case[1].as_str()) {
            (Ok(text), Some(expected)) if text == expected => {}
            // What this crate does not have says so, and gives no other text.
            (Err(error), Some(_)) if error.kind == ErrorKind::Refused && error.message.contains("not supported") => {}
            (Err(error), None) => assert!(!error.to_string().contains('\n'), "{error}"),
            (text, expected) => wrong.push(format!("{source}\n  here   {text:?}\n  python {expected:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
