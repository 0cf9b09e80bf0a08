//! Every field that a family's config class in `transformers` knows: it changes the config, is refused, or is said to be
//! without effect. `fields.py` made the list.

use glass_config::LlamaConfig;
use serde_json::{Map, Value};

use crate::common::{read, read_with};
use crate::fixtures::files;

#[test]
fn every_field_of_every_family_has_its_say() {
    let fields: Map<String, Value> = serde_json::from_str(include_str!("fields.json")).expect("JSON");
    let mut silent = Vec::new();
    for (family, file) in files() {
        for (dialect, file) in file.as_object().expect("dialects") {
            let base = read(file).expect("a config");
            let values = fields[&family].as_object().expect("fields");
            for (name, value) in values {
                if !has_a_say(file, &base, name, value) {
                    silent.push(format!("{family} ({dialect}): {name} = {value}"));
                }
            }
        }
    }
    assert!(silent.is_empty(), "read, and neither honoured nor listed:\n{}", silent.join("\n"));
}

fn has_a_say(file: &Value, base: &LlamaConfig, name: &str, value: &Value) -> bool {
    let mut changed = file.clone();
    let fields = changed.as_object_mut().expect("an object");
    if name == "rope_parameters" {
        for old in ["rope_theta", "rope_scaling", "partial_rotary_factor", "rope_local_base_freq"] {
            fields.remove(old);
        }
    }
    fields.insert(name.to_owned(), value.clone());
    match read(&changed) {
        // The field itself, another whose rule names it, or the one that it switches on.
        Err(error) => {
            let (line, switched) = (error.to_string(), name.trim_start_matches("use_"));
            one_line(&line) && (line.contains(name) || line.contains(switched))
        }
        Ok(config) if without_notes(&config) != without_notes(base) => {
            let again = read(&config.to_json()).unwrap_or_else(|error| panic!("{name} = {value}: {error}"));
            assert_eq!(again, without_notes(&config), "{name} = {value}");
            true
        }
        Ok(config) if config.ignored.iter().any(|field| field.name == name) => true,
        // Not listed because it is known to be harmless. Whoever sets it is told so.
        Ok(_) => read_with(file, &[&format!("{name}={value}")]).is_err_and(|error| one_line(&error.to_string())),
    }
}

fn one_line(error: &str) -> bool {
    !error.contains('\n') && error.contains(": ")
}

fn without_notes(config: &LlamaConfig) -> LlamaConfig {
    LlamaConfig { ignored: Vec::new(), ..config.clone() }
}
