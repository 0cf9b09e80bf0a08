//! Chat templates of GGUF files.

use std::fs;

use glass_gguf::{Metadata, Value};
use glass_text::{ChatInput, ChatTemplate, ChatTemplateError, Message, Role, gguf};
use serde_json::json;

use super::{cases, metadata};

fn file() -> Metadata {
    metadata(&cases()[2]["keys"])
}

fn prompt(metadata: &Metadata) -> Result<String, ChatTemplateError> {
    ChatTemplate::from_gguf(metadata)?.prompt(&[Message::new(Role::User, "Hi")])
}

#[test]
fn templates_render_with_the_tokens_of_the_file() {
    let mut metadata = file();
    let missing = prompt(&metadata).expect_err("no template");
    assert!(matches!(missing, ChatTemplateError::MissingKey { .. }));
    assert!(missing.to_string().starts_with("model.gguf"));
    metadata.insert("tokenizer.chat_template.rag", "rag");
    assert!(matches!(prompt(&metadata), Err(ChatTemplateError::NoDefault { names, .. }) if names == "rag"));
    metadata
        .insert("tokenizer.chat_template", "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}");
    metadata.insert("tokenizer.chat_template.tool_use", "tools");
    assert_eq!(prompt(&metadata).as_deref(), Ok("<s>Hi</s>"));
    let template = ChatTemplate::from_gguf(&metadata).expect("sound");
    assert_eq!(template.eos_token(), Some("</s>"));
    let tools = ChatInput { tools: Some(vec![json!({})]), ..ChatInput::default() };
    assert_eq!(template.render(&tools).as_deref(), Ok("tools"));
    metadata.insert("tokenizer.chat_template", "{% if %}");
    let syntax = prompt(&metadata).expect_err("no Jinja").to_string();
    assert!(syntax.starts_with("model.gguf: tokenizer.chat_template"), "{syntax}");
    metadata.insert("tokenizer.chat_template", Value::U32(1));
    assert!(prompt(&metadata).expect_err("no text").to_string().contains("tokenizer.chat_template"));
}

#[test]
fn a_template_of_the_user_goes_with_the_tokens_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.jinja");
    fs::write(&path, "{{ bos_token }}!").expect("written");
    let template = ChatTemplate::from_file_and_gguf(&path, &file()).expect("sound");
    assert_eq!(template.prompt(&[]).as_deref(), Ok("<s>!"));
}

#[test]
fn templates_go_there_and_back() {
    let of = |files: &[(&str, &str)]| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("additional_chat_templates")).expect("made");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let mut metadata = file();
        gguf::write_chat_templates(folder.path(), &mut metadata).expect("sound");
        metadata
    };
    let one = of(&[("chat_template.jinja", "{{ bos_token }}é")]);
    assert_eq!(one.string("tokenizer.chat_template").expect("a text"), Some("{{ bos_token }}é"));
    assert_eq!(one.get("tokenizer.chat_templates"), None);
    assert_eq!(gguf::tokenizer_config_json(&one).expect("sound")["chat_template"], "{{ bos_token }}é");
    let two = of(&[("chat_template.jinja", "A"), ("additional_chat_templates/tool_use.jinja", "B")]);
    assert_eq!(two.string("tokenizer.chat_template.tool_use").expect("a text"), Some("B"));
    let names = two.strings("tokenizer.chat_templates").expect("texts").expect("names");
    assert_eq!(names.iter().collect::<Vec<_>>(), ["tool_use"]);
    let config = gguf::tokenizer_config_json(&two).expect("sound");
    assert_eq!(
        config["chat_template"],
        json!([{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}])
    );
    assert_eq!(gguf::tokenizer_config_json(&of(&[])).expect("sound").get("chat_template"), None);
}
