//! Folders against transformers: `make_folder_cases.py` writes what that makes of them.

use std::fs;

use glass_text::{ChatTemplate, Tokenizer};
use serde_json::Value;

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

#[test]
fn folders_give_the_tokens_of_transformers() {
    let all: Value = serde_json::from_str(include_str!("folder_cases.json")).expect("JSON");
    let folders = all["folders"].as_array().expect("folders");
    assert!(folders.len() > 200);
    let mut wrong = Vec::new();
    for case in folders {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, content: &Value| {
            fs::write(folder.path().join(name), content.to_string()).expect("written");
        };
        let base = case["base"].as_str().expect("a name");
        write("tokenizer.json", &all["bases"][base]);
        for (name, content) in case["files"].as_object().expect("files") {
            write(name, content);
        }
        let tokenizer = Tokenizer::from_folder(folder.path()).expect("readable").expect("a tokenizer");
        for text in case["cases"].as_array().expect("cases") {
            let given = text[0].as_str().expect("a text");
            let plain = ids(&text[2]);
            let here = (
                tokenizer.encode(given, true).expect("ids"),
                tokenizer.encode(given, false).expect("ids"),
                tokenizer.decode(&plain, true).expect("a text"),
                tokenizer.decode(&plain, false).expect("a text"),
            );
            let string = |index: usize| text[index].as_str().expect("a text").to_owned();
            let there = (ids(&text[1]), plain.clone(), string(3), string(4));
            if here != there {
                wrong.push(format!("{base} {}\n  {given:?}\n  here  {here:?}\n  there {there:?}", case["files"]));
                break;
            }
        }
        // The names that a chat template sees.
        let names = case["names"].as_object().expect("names");
        let shown: Vec<String> = names.keys().map(|name| format!("{{{{ {name} }}}}|")).collect();
        fs::write(folder.path().join("chat_template.jinja"), shown.concat()).expect("written");
        let expected: Vec<String> = names.values().map(|text| format!("{}|", text.as_str().expect("a text"))).collect();
        let prompt = ChatTemplate::from_folder(folder.path()).and_then(|template| template.prompt(&[]));
        if prompt.as_ref() != Ok(&expected.concat()) {
            wrong.push(format!("{base} {}\n  names {prompt:?}\n  there {}", case["files"], case["names"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), folders.len(), wrong.join("\n"));
}
