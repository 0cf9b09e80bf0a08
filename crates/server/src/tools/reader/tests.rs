use serde_json::json;

use super::*;

fn json_body(arguments: &str, list: bool) -> Body {
    Body::Json { name: "name".into(), arguments: arguments.into(), list }
}

fn syntax(open: &str, close: &str, body: Body) -> Syntax {
    Syntax { open: open.into(), close: close.into(), body }
}

/// The text of an answer and its calls, read in pieces of so many characters.
fn read(syntax: &Syntax, text: &str, size: usize) -> (String, Vec<(String, Value)>) {
    let tool = Tool {
        name: "f".into(),
        description: None,
        parameters: json!({"properties": {"s": {"type": "string"}}}),
        strict: false,
    };
    let mut reader = Reader::new(syntax.clone(), vec![tool]);
    let mut parts = Vec::new();
    let letters: Vec<char> = text.chars().collect();
    for piece in letters.chunks(size) {
        reader.push(&piece.iter().collect::<String>(), &mut parts);
    }
    reader.finish(&mut parts);
    let (mut text, mut calls) = (String::new(), Vec::<(String, String)>::new());
    for part in parts {
        match part {
            Part::Reasoning(piece) | Part::Text(piece) => text.push_str(&piece),
            Part::Call { name } => calls.push((name, String::new())),
            Part::Arguments(piece) => calls.last_mut().unwrap().1.push_str(&piece),
        }
    }
    (text, calls.into_iter().map(|(name, json)| (name, serde_json::from_str(&json).unwrap())).collect())
}

fn hermes() -> Syntax {
    syntax("<tool_call>", "</tool_call>", json_body("arguments", false))
}

#[test]
fn calls_of_every_syntax_in_any_pieces() {
    let pairs = Body::Pairs {
        before_key: ">\n<parameter=".into(),
        before_value: ">\n".into(),
        after_value: "\n</parameter>\n<".into(),
        another: "parameter=".into(),
    };
    let cases = [
        (
            hermes(),
            "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"1\"}}\n</tool_call>",
            "Let me see.",
            1,
        ),
        (
            hermes(),
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"1\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"f\", \
             \"arguments\": {\"s\": \"1\"}}\n</tool_call>",
            "",
            2,
        ),
        // SmolLM2 writes a list, and some models forget the end.
        (hermes(), "<tool_call>[{\"name\": \"f\", \"arguments\": {\"s\": \"1\"}}]</tool_call>", "", 1),
        (hermes(), "<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"1\"}}", "", 1),
        (syntax("", "", json_body("parameters", false)), "{\"name\": \"f\", \"parameters\": {\"s\": \"1\"}}", "", 1),
        (
            syntax("[TOOL_CALLS]", "", json_body("arguments", true)),
            "[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"s\": \"1\"}}, {\"name\": \"f\", \"arguments\": {\"s\": \"1\"}}]",
            "",
            2,
        ),
        (
            syntax("[TOOL_CALLS]", "", Body::Named { between: "[ARGS]".into() }),
            "Hm.[TOOL_CALLS]f[ARGS]{\"s\": \"1\"}[TOOL_CALLS]f[ARGS]{\"s\": \"1\"}",
            "Hm.",
            2,
        ),
        (
            syntax("<tool_call>\n<function=", "/function>\n</tool_call>", pairs),
            "<tool_call>\n<function=f>\n<parameter=s>\n1\n</parameter>\n</function>\n</tool_call>",
            "",
            1,
        ),
        (hermes(), "1 < 2, and <tool_ is no call", "1 < 2, and <tool_ is no call", 0),
        (
            syntax("", "", json_body("parameters", false)),
            "{\"city\": \"Rome\"} is JSON",
            "{\"city\": \"Rome\"} is JSON",
            0,
        ),
        (syntax("", "", json_body("parameters", false)), "Rome {\"name\"}", "Rome {\"name\"}", 0),
        (hermes(), "<tool_call>nothing</tool_call>", "<tool_call>nothing</tool_call>", 0),
        (hermes(), "<tool_call>{\"na", "<tool_call>{\"na", 0),
        (
            syntax("[TOOL_CALLS]", "", Body::Named { between: format!("[CALL_ID]{CALL_ID}[ARGS]") }),
            "[TOOL_CALLS]f[CALL_ID]abcdefgh0[ARGS]{\"s\": \"1\"}[TOOL_CALLS]f[ARGS]{\"s\": \"1\"}",
            "",
            2,
        ),
        // Apertus
        (
            syntax("<tools>[{\"", "}]", Body::Named { between: "\": ".into() }),
            "<tools>[{\"f\": {\"s\": \"1\"}}, {\"f\": {\"s\": \"1\"}}] Yes",
            "Yes",
            2,
        ),
        // Llama 3 separates calls, and some go on in words.
        (
            syntax("", "", json_body("parameters", false)),
            "{\"name\": \"f\", \"parameters\": {\"s\": \"1\"}}; {\"name\": \"f\", \"parameters\": {\"s\": \"1\"}}",
            "",
            2,
        ),
        (
            syntax("", "", json_body("parameters", false)),
            "{\"name\": \"f\", \"arguments\": {\"s\": \"1\"}} and text",
            "and text",
            1,
        ),
        // A mark in a text is text, and so is the space around it.
        (hermes(), "The mark <tool_call> is special.", "The mark <tool_call> is special.", 0),
        (hermes(), "<tool_call>\n{\"foo\": 1}\n</tool_call> tail", "<tool_call>\n{\"foo\": 1}\n</tool_call> tail", 0),
        (
            hermes(),
            "Write <tool_call> like\n\n<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"1\"}}</tool_call>\nso",
            "Write <tool_call> like\n\nso",
            1,
        ),
    ];
    for (syntax, answer, text, calls) in cases {
        for size in [1, 2, 3, 7, 1000] {
            let found = read(&syntax, answer, size);
            let expected = vec![("f".to_owned(), json!({"s": "1"})); calls];
            assert_eq!(found, (text.to_owned(), expected), "{answer} in pieces of {size}");
        }
    }
}

#[test]
fn space_of_values_is_kept() {
    let pairs = |before_value: &str, after_value: &str| Body::Pairs {
        before_key: ">\n<parameter=".into(),
        before_value: before_value.into(),
        after_value: after_value.into(),
        another: "parameter=".into(),
    };
    let coder = syntax("<function=", "/function>", pairs(">\n", "\n</parameter>\n<"));
    let seed = syntax("<function=", "/function>", pairs(">", "</parameter>\n<"));
    for (syntax, written) in [(coder, "\n\n  line 1\nline 2\n\n"), (seed, "\n  line 1\nline 2\n")] {
        let answer = format!("<function=f>\n<parameter=s>{written}</parameter>\n</function>");
        let (_, calls) = read(&syntax, &answer, 5);
        assert_eq!(calls, [("f".to_owned(), json!({"s": "\n  line 1\nline 2\n"}))], "{answer:?}");
    }
}

#[test]
fn forced_calls_need_no_marks() {
    let mut parts = Vec::new();
    let mut reader = Reader::of_call(hermes(), "name", "arguments");
    reader.push("{\"name\":\"f\",\"arguments\":{\"a\":1}}", &mut parts);
    reader.finish(&mut parts);
    assert_eq!(parts[0], Part::Call { name: "f".into() });
    let mut parts = Vec::new();
    let mut reader = Reader::of_arguments(hermes(), "f");
    reader.push("{\"a\":", &mut parts);
    reader.push("1}", &mut parts);
    reader.finish(&mut parts);
    let arguments = ["{\"a\":", "1}"].map(|text| Part::Arguments(text.into()));
    assert_eq!((&parts[0], &parts[1..]), (&Part::Call { name: "f".into() }, &arguments[..]));
}
