//! Templates against transformers.

use std::fs;

use glass_testing::fixtures;
use glass_text::{ChatInput, ChatTemplate, ChatTemplateError};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("written");
    }
    folder
}

fn list(value: &Value) -> Option<Vec<Value>> {
    value.as_array().cloned()
}

fn input(case: &Value) -> ChatInput {
    ChatInput {
        messages: list(&case["messages"]).expect("messages"),
        tools: list(&case["tools"]),
        documents: list(&case["documents"]),
        add_generation_prompt: case["add_generation_prompt"] == true,
        variables: case["variables"].as_object().cloned().unwrap_or_default(),
    }
}

/// Expects the reference's text byte for byte, or an error where it has one.
fn check(template: &Result<ChatTemplate, ChatTemplateError>, case: &Value) {
    let rendered = template.as_ref().map_err(Clone::clone);
    let rendered = rendered.and_then(|template| template.render(&input(case)));
    match (case["rendered"].as_str(), &rendered) {
        (Some(text), Ok(rendered)) => assert_eq!(rendered, text, "{case}"),
        (None, Err(error)) => {
            let line = error.to_string();
            assert!(!line.contains('\n'), "{line}");
            let theirs = case["error"].as_str().expect("an error or a text");
            match error {
                ChatTemplateError::Refused(message) => {
                    assert_eq!(theirs.trim_start_matches("TemplateError: "), message)
                }
                _ => assert!(!theirs.starts_with("TemplateError: "), "{line}\n{theirs}"),
            }
        }
        (_, rendered) => panic!("{rendered:?} differs from {case}"),
    }
}

#[test]
fn prompts_equal_those_of_transformers() {
    let all: Value = serde_json::from_str(include_str!("cases.json")).expect("JSON");
    let config = json!({ "bos_token": all["bos_token"], "eos_token": { "content": all["eos_token"] } });
    let cases = all["cases"].as_array().expect("cases");
    assert!(cases.len() > 90);
    for case in cases {
        let name = case["template"].as_str().expect("a name");
        let text = all["templates"][name].as_str().expect("a template");
        let folder = folder(&[("chat_template.jinja", text), ("tokenizer_config.json", &config.to_string())]);
        check(&ChatTemplate::from_folder(folder.path()), case);
    }
}

#[test]
fn prompts_of_real_models_equal_those_of_transformers() {
    for name in ["tinyllama", "mistral-v0.3"] {
        let Some(folder) = fixtures::real(name) else {
            continue;
        };
        let cases = fs::read(folder.join("chat_cases.json")).expect("readable");
        let cases: Value = serde_json::from_slice(&cases).expect("JSON");
        let cases = cases["cases"].as_array().expect("cases");
        assert!(cases.len() >= 10);
        let template = ChatTemplate::from_folder(&folder);
        for case in cases {
            check(&template, case);
        }
    }
}

fn hello() -> ChatInput {
    ChatInput {
        messages: vec![json!({ "role": "user", "content": "Hello" })],
        add_generation_prompt: true,
        ..ChatInput::default()
    }
}

fn rendered(files: &[(&str, &str)], input: &ChatInput) -> String {
    ChatTemplate::from_folder(folder(files).path()).and_then(|template| template.render(input)).expect("a text")
}

#[test]
fn template_files_override_the_config() {
    let config = |template: Value| json!({ "chat_template": template }).to_string();
    let listed = config(json!([
        { "name": "default", "template": "listed" },
        { "name": "tool_use", "template": "listed with {{ tools | length }}" },
        { "name": "rag", "template": "{% unused and broken" },
    ]));
    let mut with_tools = hello();
    with_tools.tools = Some(vec![json!({ "type": "function" })]);
    let object =
        config(json!({ "default": "named", "tool_use": "named with {{ tools | length }}", "rag": "{% broken" }));
    for (files, plain, tools) in [
        (vec![("tokenizer_config.json", object)], "named", "named with 1"),
        (vec![("tokenizer_config.json", config(json!("text")))], "text", "text"),
        (vec![("tokenizer_config.json", listed.clone())], "listed", "listed with 1"),
        (vec![("tokenizer_config.json", listed), ("chat_template.jinja", "file\n".to_owned())], "file", "file"),
        (
            vec![
                ("chat_template.jinja", "file".to_owned()),
                ("additional_chat_templates/tool_use.jinja", "tool file".to_owned()),
            ],
            "file",
            "tool file",
        ),
    ] {
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, &**text)).collect();
        assert_eq!(rendered(&files, &hello()), plain, "{files:?}");
        assert_eq!(rendered(&files, &with_tools), tools, "{files:?}");
    }
}

#[test]
fn special_tokens_come_from_the_folder() {
    let template = ("chat_template.jinja", "{{ bos_token }}{{ eos_token }}{{ unk_token }}{{ pad_token is defined }}");
    let new = r#"{"bos_token": "<a>", "eos_token": {"content": "<b>"}, "pad_token": null, "added_tokens_decoder": {}}"#;
    let old = r#"{"bos_token": "<a>", "unk_token": "<u>"}"#;
    let map = r#"{"bos_token": {"content": "<c>", "lstrip": false}, "eos_token": "<d>"}"#;
    for (config, text) in [(new, "<a><b>False"), (old, "<c><d><u>False")] {
        let files = [template, ("tokenizer_config.json", config), ("special_tokens_map.json", map)];
        assert_eq!(rendered(&files, &hello()), text);
    }
    assert_eq!(rendered(&[template], &hello()), "False");
    for (config, eos) in [(new, Some("<b>")), ("{}", None)] {
        let folder = folder(&[template, ("tokenizer_config.json", config)]);
        let template = ChatTemplate::from_folder(folder.path()).expect("a template");
        assert_eq!(template.eos_token(), eos);
    }
}

#[test]
fn from_file_and_from_text_take_special_tokens() {
    let model = folder(&[("tokenizer_config.json", r#"{"bos_token": "<a>"}"#)]);
    let file = model.path().join("mine.jinja");
    fs::write(&file, "{{ bos_token }}{{ messages[0].content }}").expect("written");
    let template = ChatTemplate::from_file(&file, model.path()).expect("a template");
    assert_eq!(template.render(&hello()).expect("a text"), "<a>Hello");
    let error = ChatTemplate::from_file(&model.path().join("no.jinja"), model.path());
    let error = error.expect_err("there is none").to_string();
    assert!(error.contains("no.jinja"), "{error}");

    let text = "{{ bos_token }}{{ messages[0].content }}";
    let template = ChatTemplate::from_text(text, "gguf", &[("bos_token", "<b>")]);
    let template = template.expect("a template");
    assert_eq!(template.render(&hello()).expect("a text"), "<b>Hello");
    let error = ChatTemplate::from_text("{% if %}", "gguf", &[]).expect_err("no template");
    assert!(error.to_string().starts_with("gguf: "), "{error}");
}

#[test]
fn errors_are_one_line() {
    let config = |template: Value| json!({ "chat_template": template }).to_string();
    for (name, content, words) in [
        ("x", String::new(), vec!["no chat template", "--chat-template FILE", "glass generate"]),
        ("chat_template.jinja", "a\n{% if %}".into(), vec!["chat_template.jinja", "not a Jinja template", "line 2"]),
        ("chat_template.jinja", "\n\n{{ messages.x.y }}".into(), vec!["chat_template.jinja", "line 3"]),
        ("chat_template.jinja", "{{ raise_exception('so\nnot') }}".into(), vec!["refuses these messages: so not"]),
        ("chat_template.jinja", "{% include 'tokenizer.json' %}".into(), vec!["chat_template.jinja", "include"]),
        ("chat_template.jinja", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".into(), vec!["recursion"]),
        ("tokenizer_config.json", "[".into(), vec!["tokenizer_config.json", "not a JSON object"]),
        ("tokenizer_config.json", config(json!(7)), vec!["tokenizer_config.json", "chat_template must be a text"]),
        ("tokenizer_config.json", config(json!([{ "name": "default" }])), vec!["chat_template[0] must be"]),
        (
            "tokenizer_config.json",
            config(json!([{ "name": "rag", "template": "" }, { "name": "tool_use", "template": "" }])),
            vec!["tool_use, rag", "none called default", "--chat-template FILE"],
        ),
        (
            "tokenizer_config.json",
            json!({ "chat_template": "", "bos_token": 7 }).to_string(),
            vec!["bos_token must be a text"],
        ),
    ] {
        let folder = folder(&[(name, &content)]);
        let result = ChatTemplate::from_folder(folder.path());
        let error = result.and_then(|template| template.render(&hello()));
        let line = error.expect_err(&content).to_string();
        assert!(!line.contains('\n'), "{line}");
        for word in words {
            assert!(line.contains(word), "{word:?} is not in {line}");
        }
    }
    let folder = folder(&[]);
    fs::write(folder.path().join("chat_template.jinja"), b"caf\xe9").expect("written");
    let error = ChatTemplate::from_folder(folder.path()).expect_err("not UTF-8");
    assert!(error.to_string().contains("not UTF-8"), "{error}");
}

#[test]
fn strftime_now_is_today() {
    let now = || jiff::Zoned::now().strftime("%Y-%m-%d").to_string();
    let before = now();
    let files = [("chat_template.jinja", "{{ strftime_now('%Y-%m-%d') }}")];
    let text = rendered(&files, &hello());
    assert!([before, now()].contains(&text), "{text}");
}

#[test]
fn honours_system_tells_templates_apart() {
    let honours = |template: &str| {
        let folder = folder(&[("chat_template.jinja", template)]);
        ChatTemplate::from_folder(folder.path()).expect("a template").honours_system("Be terse.")
    };
    assert_eq!(honours("{{ messages[0].content }}"), Ok(true));
    assert_eq!(honours("{{ messages[-1].content }}"), Ok(false));
    let strict = "{% if messages[0].role != 'user' %}{{ raise_exception('no') }}{% endif %}";
    assert_eq!(honours(strict), Err(ChatTemplateError::Refused("no".to_owned())));
}

#[test]
fn variables_override_special_tokens() {
    let mut input = hello();
    input.variables = Map::from_iter([("bos_token".to_owned(), json!("<mine>"))]);
    let files = [("chat_template.jinja", "{{ bos_token }}"), ("tokenizer_config.json", r#"{"bos_token": "<theirs>"}"#)];
    assert_eq!(rendered(&files, &input), "<mine>");
}

#[test]
fn variables_of_a_template_stay() {
    let mut template = ChatTemplate::from_text("{{ enable_thinking }}{{ x }}", "mine", &[]).expect("a template");
    template.set_variables(Map::from_iter([("enable_thinking".to_owned(), json!(false))]));
    assert_eq!(template.render(&hello()).expect("a text"), "False");
    let mut input = hello();
    input.variables = Map::from_iter([("enable_thinking".to_owned(), json!(null)), ("x".to_owned(), json!(1e16))]);
    assert_eq!(template.render(&input).expect("a text"), "None1e+16");
}

#[test]
fn variables_that_change_nothing_are_told() {
    let files = [
        ("chat_template.jinja", "{% if effort == 'low' %}{{ '' }}{% endif %}"),
        ("additional_chat_templates/tool_use.jinja", "{% set enable = enable_thinking %}"),
    ];
    let template = ChatTemplate::from_folder(folder(&files).path()).expect("a template");
    let variables = |names: &[&str]| Map::from_iter(names.iter().map(|name| (name.to_string(), json!(true))));
    let given = variables(&["effort", "enable_thinkin", "enable_thinking", "low"]);
    assert_eq!(template.unread(&given).collect::<Vec<_>>(), ["enable_thinkin", "low"]);
    assert_eq!(ChatInput::check_variables(&given), Ok(()));
    for name in ["messages", "tools", "documents", "add_generation_prompt"] {
        let error = ChatInput::check_variables(&variables(&["effort", name])).expect_err(name);
        assert_eq!(error, format!("{name} is set by the program: leave it out"));
    }
}

/// A template that writes messages whole shows the order of their fields.
#[test]
fn reasoning_stands_where_transformers_puts_it() {
    let template = ChatTemplate::from_text("{{ messages[0].keys()|list }}{{ messages[0].thinking }}", "mine", &[]);
    let template = template.expect("a template");
    for (message, keys) in [
        (json!({"role": "r", "reasoning": "a"}), "['thinking', 'role', 'reasoning', 'reasoning_content']a"),
        (json!({"reasoning_content": "a", "thinking": "b"}), "['thinking', 'reasoning_content']b"),
        (json!({"role": "r", "thinking": null, "content": "c"}), "['role', 'content']"),
    ] {
        let input = ChatInput { messages: vec![message], ..ChatInput::default() };
        assert_eq!(template.render(&input).expect("a text"), keys);
    }
}
