//! The text of a config, carried over to another folder.

use std::fs;

use glass_config::{Dtype, LlamaConfig, Stored, config_text};
use serde_json::Value;
use tempfile::TempDir;

fn carried(text: &str, dtype: Option<Dtype>) -> Result<String, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.json");
    fs::write(&path, text).unwrap();
    config_text(&path, dtype.map_or(Stored::Same, Stored::As), false).map_err(|error| error.to_string())
}

#[test]
fn without_a_type_every_byte_stays() {
    let text = "\u{feff}{ \"unknown\":1e-05,\n\n\t\"dtype\" : \"float32\"}";
    assert_eq!(carried(text, None).unwrap(), text);
}

#[test]
fn the_type_is_written_where_the_file_has_it_and_nothing_else_changes() {
    for (text, wanted) in [
        (
            r#"{"z":1e-05,"dtype":"float32","a":[1,null],"b":18446744073709551615}"#,
            r#"{"z":1e-05,"dtype":"bfloat16","a":[1,null],"b":18446744073709551615}"#,
        ),
        (r#"{"torch_dtype":null,"rope_theta":10000.0}"#, r#"{"torch_dtype":"bfloat16","rope_theta":10000.0}"#),
        (r#"{"torch_dtype":"float16","dtype":"float16"}"#, r#"{"torch_dtype":"bfloat16","dtype":"bfloat16"}"#),
        (r#"{"rope_parameters":{"rope_theta":1.5}}"#, r#"{"rope_parameters":{"rope_theta":1.5},"dtype":"bfloat16"}"#),
        (r#"{"rope_theta":500000}"#, r#"{"rope_theta":500000,"torch_dtype":"bfloat16"}"#),
    ] {
        let text = carried(text, Some(Dtype::BFloat16)).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let wanted: Value = serde_json::from_str(wanted).unwrap();
        // As texts, since objects compare equal in any order.
        assert_eq!(value.to_string(), wanted.to_string());
    }
}

#[test]
fn both_styles_read_back_with_the_new_type() {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/fixtures/llama-gqa/");
    for name in ["config.json", "config.legacy.json"] {
        let text = fs::read_to_string(format!("{fixture}{name}")).unwrap();
        let read = |text: &str| LlamaConfig::from_json(text, name, &[]).unwrap();
        let changed = read(&carried(&text, Some(Dtype::Float16)).unwrap());
        let mut wanted = read(&text);
        assert_ne!(wanted.dtype, Some(Dtype::Float16));
        wanted.dtype = Some(Dtype::Float16);
        assert_eq!(changed, wanted, "{name}");
    }
}

#[test]
fn a_file_that_is_no_object_is_refused_with_or_without_a_type() {
    for dtype in [None, Some(Dtype::Float32)] {
        assert!(carried("[]", dtype).unwrap_err().contains("holds [] where a JSON object"));
        assert!(carried("", dtype).unwrap_err().contains("is empty"));
    }
}
