//! Every family's configs as `transformers` writes them, in both dialects.

use glass_config::{LlamaConfig, ModelType};
use serde_json::Value;

use crate::common::read;

/// The files of a family, as `transformers` 5 and 4 write them.
pub fn files() -> Vec<(String, Value)> {
    let text = include_str!("fixtures.json");
    let Value::Object(files) = serde_json::from_str(text).expect("JSON") else { panic!("an object") };
    files.into_iter().collect()
}

fn config(name: &str) -> (LlamaConfig, LlamaConfig) {
    let files = files();
    let (_, file) = files.iter().find(|(family, _)| family == name).expect("a family");
    (read(&file["version_5"]).expect(name), read(&file["version_4"]).expect(name))
}

#[test]
fn both_dialects_say_the_same() {
    for (name, _) in files() {
        let (new, old) = config(&name);
        let without_notes = |config: LlamaConfig| LlamaConfig { ignored: Vec::new(), ..config };
        assert_eq!(without_notes(new), without_notes(old), "{name}");
    }
}

#[test]
fn every_family_is_written_and_read_again() {
    for (name, _) in files() {
        let (config, _) = config(&name);
        assert_eq!(config.validate(), Ok(()), "{name}");
        let again = read(&config.to_json()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(again, LlamaConfig { ignored: Vec::new(), ..config }, "{name}");
    }
}

/// What `transformers` wrote for a family needs no warning, but for a field that is no part of the family's class.
#[test]
fn its_own_files_are_read_in_silence() {
    for (name, _) in files() {
        let (config, _) = config(&name);
        let mut ignored = config.ignored.iter().map(|field| field.name.as_str()).collect::<Vec<_>>();
        // The maker of the files gave it to all of them.
        ignored.retain(|name| !matches!(*name, "rms_norm_eps" | "hidden_act"));
        assert_eq!(ignored, Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn all_families_have_files() {
    let files = files();
    // EXAONE 3, Samba and RetNet are no part of transformers, and GLM of 2024 is read by the rules of its successor.
    let without = ["llama", "mistral", "qwen2", "exaone", "glm", "samba", "retnet"];
    for family in ModelType::ALL {
        let family = family.to_string();
        assert_eq!(files.iter().any(|(name, _)| *name == family), !without.contains(&family.as_str()), "{family}");
    }
}
