//! Files that are no config, and configs without their main fields.

use std::fs;
use std::path::Path;

use glass_config::LlamaConfig;

use crate::common::{FAMILIES, minimal, read};

fn error_of(text: &str) -> String {
    LlamaConfig::from_json(text, "config.json", &[]).unwrap_err().to_string()
}

#[test]
fn texts_that_are_no_config() {
    assert_eq!(error_of(""), "config.json: is empty; download the model's config.json again");
    assert_eq!(error_of(" \n"), "config.json: is empty; download the model's config.json again");
    assert_eq!(
        error_of("{\"a\": 1,}"),
        "config.json: is not valid JSON: trailing comma at line 1 column 9; correct the file there or download it again"
    );
    assert_eq!(
        error_of("{\"rms_norm_eps\": NaN,\n \"x\": nan}"),
        "config.json: is not valid JSON: expected ident at line 2 column 8; correct the file there or download it again"
    );
    assert_eq!(
        error_of("[1, 2]"),
        "config.json: holds [1,2] where a JSON object {...} is expected; is this a model's config.json?"
    );
    assert!(error_of(&"[".repeat(10_000)).contains("recursion limit exceeded"));
}

#[test]
fn paths_that_are_no_config() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| LlamaConfig::from_file(path, &[]).unwrap_err().to_string();
    let shown = |path: &Path| path.display().to_string();

    let missing = folder.path().join("config.json");
    assert_eq!(
        error(&missing),
        format!("{}: there is no such file; give the path of a model's config.json", shown(&missing))
    );
    assert_eq!(
        error(folder.path()),
        format!("{}: is a directory; give the path of the config.json in it", shown(folder.path()))
    );
    let binary = folder.path().join("model.bin");
    fs::write(&binary, b"{\"a\": \"\xff\xfe\"}").unwrap();
    assert_eq!(
        error(&binary),
        format!(
            "{}: is not text (byte 7 is not UTF-8); a config.json is JSON, so this may be another file or a damaged \
             download",
            shown(&binary)
        )
    );
    fs::write(&missing, minimal("llama").to_string()).unwrap();
    assert_eq!(LlamaConfig::from_file(&missing, &[]).unwrap(), read(&minimal("llama")).unwrap());
}

#[test]
fn fields_that_must_be_there() {
    for field in ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"] {
        let mut file = minimal("llama");
        file.as_object_mut().unwrap().remove(field);
        assert_eq!(
            error_of(&file.to_string()),
            format!("config.json: {field} is missing: every model has its own; is this the config.json of a Llama?")
        );
    }
    assert_eq!(
        error_of("{}"),
        format!("config.json: model_type is missing: it must be one of {FAMILIES}; is this a model's config.json?")
    );
    assert_eq!(
        error_of(r#"{"dim": 4096, "n_layers": 32, "n_heads": 32}"#),
        "config.json: model_type is missing: this looks like Meta's params.json; use the checkpoint in Hugging \
         Face's format"
    );
    assert_eq!(
        error_of(r#"{"model_type": "rwkv"}"#),
        format!("config.json: model_type = \"rwkv\": must be one of {FAMILIES}")
    );
}
