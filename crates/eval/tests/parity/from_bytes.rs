//! A model in memory.

use std::fs;

use glass_backend::Dtype;
use glass_generate::{Error, Llama, LoadOptions, ModelBytes};
use glass_testing::devices;

use crate::fixture;

fn options() -> LoadOptions<'static> {
    LoadOptions {
        device: devices::flex(),
        precision: Some(Dtype::F32.into()),
        overrides: &[],
        progress: Box::leak(Box::new(|_, _| {})),
    }
}

#[test]
fn a_model_in_memory_computes_as_the_folder_does() {
    let folder = fixture::root().join("llama-gqa");
    let read = |name: &str| fs::read(folder.join(name)).expect("readable");
    let config = String::from_utf8(read("config.json")).expect("text");
    let bytes = |config| ModelBytes {
        name: "in-memory",
        config,
        generation_config: None,
        tokenizer: None,
        weights: read("model.safetensors").into(),
    };
    let held = Llama::from_bytes(bytes(&config), options()).expect("a model");
    let loaded = Llama::load(&folder, options()).expect("a model");
    assert!(held.tokenizer.is_none());
    let ids = fixture::rows(&fixture::expected(&folder)["input_ids"]);
    let [held, loaded] = [held, loaded].map(|llama| {
        let text = vec![ids[0].clone()];
        fixture::forward(&llama, &text, None)["logits"].values.clone()
    });
    assert_eq!(held, loaded);

    let error = Llama::from_bytes(bytes("{"), options()).err();
    assert!(
        matches!(&error, Some(Error::Config(error)) if error.to_string().starts_with("in-memory/config.json")),
        "{error:?}"
    );
    let cut = ModelBytes { weights: read("model.safetensors")[..100].to_vec().into(), ..bytes(&config) };
    let error = Llama::from_bytes(cut, options()).err().expect("cut short");
    assert!(error.to_string().starts_with("in-memory/model.safetensors"), "{error}");
}
