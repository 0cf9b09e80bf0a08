//! How a family writes a call, found out by asking its chat template to write one.
//!
//! A template renders the calls of earlier turns the way that the model was trained to write them. So a conversation with one
//! call of a function that nobody has is rendered, and what stands around its name is the family's syntax: no family is named
//! here.

use glass_text::{ChatInput, ChatTemplate};
use serde_json::{Value, json};

use crate::reasoning::{behind_thoughts, without_open_mark};

/// A name and two arguments that no template and no text has by chance.
const NAME: &str = "glass_probe_name";
const KEYS: [&str; 2] = ["glass_probe_key_1", "glass_probe_key_2"];
const VALUES: [&str; 2] = ["glass_probe_value_1", "glass_probe_value_2"];

/// What a call is named that the template is given: nine letters, as the one family wants it that looks at them.
pub const CALL_ID: &str = "glassprob";

/// How a model writes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// What stands before a call; empty where an answer that is JSON is a call.
    pub open: String,
    /// What stands behind it; models may leave it out.
    pub close: String,
    pub body: Body,
}

/// What stands between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An object with the name and the arguments, perhaps in a list.
    Json { name: String, arguments: String, list: bool },
    /// The name, this text, and the arguments as an object. [`CALL_ID`] in it stands for any name of a call.
    Named { between: String },
    /// The name, and pairs of keys and values, with what stands before the first key, before values and behind them.
    Pairs {
        before_key: String,
        before_value: String,
        after_value: String,
        /// What follows there before another key.
        another: String,
    },
}

impl Syntax {
    /// What Hermes and Qwen write, and after them most others.
    fn hermes() -> Self {
        Self {
            open: "<tool_call>".to_owned(),
            close: "</tool_call>".to_owned(),
            body: Body::Json { name: "name".to_owned(), arguments: "arguments".to_owned(), list: false },
        }
    }

    /// The syntax of a template; `None` if it has no place for functions.
    pub fn of_template(template: &ChatTemplate, special: &dyn Fn(&str) -> Option<usize>) -> Option<Self> {
        let tool = json!({ "type": "function", "function": { "name": NAME, "description": "", "parameters": {
            "type": "object", "properties": { KEYS[0]: { "type": "string" }, KEYS[1]: { "type": "string" } } } } });
        let user = json!({ "role": "user", "content": "?" });
        let render = |messages: Vec<Value>, tools: Option<Value>, add_generation_prompt: bool| {
            let tools = tools.map(|tool| vec![tool]);
            let input = ChatInput { messages, tools, add_generation_prompt, ..ChatInput::default() };
            template.render(&input).ok()
        };
        let question = render(vec![user.clone()], Some(tool.clone()), true)?;
        if Some(&question) == render(vec![user.clone()], None, true).as_ref() {
            return None;
        }
        let call = json!({ "id": CALL_ID, "type": "function", "function": { "name": NAME, "arguments": {
            KEYS[0]: VALUES[0], KEYS[1]: VALUES[1] } } });
        let calls = |content: Value| {
            let turn = json!({ "role": "assistant", "content": content, "tool_calls": [call.clone()] });
            render(vec![user.clone(), turn], Some(tool.clone()), false)
        };
        let shown = calls(Value::Null).or_else(|| calls(json!("")));
        // Some templates begin thoughts for the model, and some show that a turn had none.
        let written = shown.as_deref().and_then(|shown| {
            let turn = behind_thoughts(behind(without_open_mark(&question), shown));
            Self::of_turn(turn, special)
        });
        written.or_else(|| {
            // The template describes calls, and has no earlier ones.
            let mut syntax = Self::hermes();
            if !question.contains("<tool_call>") {
                (syntax.open, syntax.close) = (String::new(), String::new());
            }
            Some(syntax)
        })
    }

    /// What an assistant's turn with the call shows. `special` finds the first special token of a text.
    fn of_turn(turn: &str, special: &dyn Fn(&str) -> Option<usize>) -> Option<Self> {
        let at = turn.find(NAME)?;
        let (before, after) = (&turn[..at], &turn[at + NAME.len()..]);
        let close = |text: &str| {
            let text = text.trim_start().trim_start_matches(']');
            text[..special(text).unwrap_or(text.len())].trim().to_owned()
        };
        // The innermost object that begins before the name and holds it.
        for (start, _) in before.rmatch_indices('{') {
            let mut values = serde_json::Deserializer::from_str(&turn[start..]).into_iter::<Value>();
            let Some(Ok(Value::Object(fields))) = values.next() else {
                continue;
            };
            let name = fields.iter().find(|(_, value)| value.as_str() == Some(NAME));
            let arguments = fields.iter().find(|(_, value)| value.to_string().contains(VALUES[0]));
            let (Some((name, _)), Some((arguments, _))) = (name, arguments) else {
                continue;
            };
            let open = turn[..start].trim();
            let list = open.ends_with('[');
            let open = open.trim_end_matches('[').trim_end();
            let end = start + values.byte_offset();
            let body = Body::Json { name: name.clone(), arguments: arguments.clone(), list };
            return Some(Self { open: open.to_owned(), close: close(&turn[end..]), body });
        }
        let open = before.trim_start().to_owned();
        let key = after.find(KEYS[0])?;
        if let Some(brace) = after[..key].rfind('{') {
            let mut values = serde_json::Deserializer::from_str(&after[brace..]).into_iter::<Value>();
            if values.next().is_some_and(|value| value.is_ok()) {
                let between = after[..brace].to_owned();
                let end = brace + values.byte_offset();
                return Some(Self { open, close: close(&after[end..]), body: Body::Named { between } });
            }
        }
        let between = |from: &str, to: &str| {
            let start = after.find(from)? + from.len();
            Some(&after[start..start + after[start..].find(to)?])
        };
        let before_key = after[..key].to_owned();
        let before_value = between(KEYS[0], VALUES[0])?.to_owned();
        // Behind a value stands another pair or the end: what both begin with ends a value.
        let to_another = between(VALUES[0], KEYS[1])?;
        let to_end = &after[after.find(VALUES[1])? + VALUES[1].len()..];
        let end = behind(to_another, to_end);
        let shared = to_end.len() - end.len();
        let (after_value, another) = (to_another[..shared].to_owned(), to_another[shared..].to_owned());
        let body = Body::Pairs { before_key, before_value, after_value, another };
        Some(Self { open, close: close(end), body })
    }
}

/// What a text has beyond the beginning that it shares with another.
fn behind<'t>(beginning: &str, text: &'t str) -> &'t str {
    let same = beginning.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
    let same = (0..=same).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[same..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax(template: &str) -> Option<Syntax> {
        let template = ChatTemplate::from_text(template, "test", &[("eos_token", "</s>")]).unwrap();
        Syntax::of_template(&template, &|text| {
            ["</s>", "<|im_end|>", "<|eot_id|>"].iter().filter_map(|s| text.find(s)).min()
        })
    }

    const TURNS: &str =
        "{% if tools %}T{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n";
    const END: &str = "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    #[test]
    fn families_show_how_they_write_calls() {
        let json = |arguments: &str, list| Body::Json { name: "name".into(), arguments: arguments.into(), list };
        let cases = [
            // Hermes, Qwen2.5, Qwen3
            (
                "{{ m.content or '' }}{% for c in m.tool_calls or [] %}<tool_call>\n{\"name\": \"{{ c.function.name }}\", \
                 \"arguments\": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}",
                ("<tool_call>", "</tool_call>", json("arguments", false)),
            ),
            // Llama 3.1
            (
                "{% if m.tool_calls %}{\"name\": \"{{ m.tool_calls[0].function.name }}\", \"parameters\": \
                 {{ m.tool_calls[0].function.arguments | tojson }}}{% else %}{{ m.content }}{% endif %}",
                ("", "", json("parameters", false)),
            ),
            // Mistral
            (
                "{% if m.tool_calls %}[TOOL_CALLS] [{% for c in m.tool_calls %}{\"name\": \"{{ c.function.name }}\", \
                 \"arguments\": {{ c.function.arguments | tojson }}, \"id\": \"{{ c.id }}\"}{% endfor %}]</s>\
                 {% else %}{{ m.content }}{% endif %}",
                ("[TOOL_CALLS]", "", json("arguments", true)),
            ),
            // Mistral since 2025
            (
                "{% for c in m.tool_calls or [] %}[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}\
                 {% endfor %}</s>",
                ("[TOOL_CALLS]", "", Body::Named { between: "[ARGS]".into() }),
            ),
            // Mistral Small 3.2
            (
                "{% for c in m.tool_calls or [] %}[TOOL_CALLS]{{ c.function.name }}[CALL_ID]{{ c.id }}[ARGS]\
                 {{ c.function.arguments | tojson }}{% endfor %}</s>",
                ("[TOOL_CALLS]", "", Body::Named { between: format!("[CALL_ID]{CALL_ID}[ARGS]") }),
            ),
            // Qwen3-Coder
            (
                "{% for c in m.tool_calls or [] %}<tool_call>\n<function={{ c.function.name }}>\n\
                 {% for k, v in c.function.arguments | items %}<parameter={{ k }}>\n{{ v }}\n</parameter>\n{% endfor %}\
                 </function>\n</tool_call>{% endfor %}",
                (
                    "<tool_call>\n<function=",
                    "/function>\n</tool_call>",
                    Body::Pairs {
                        before_key: ">\n<parameter=".into(),
                        before_value: ">\n".into(),
                        after_value: "\n</parameter>\n<".into(),
                        another: "parameter=".into(),
                    },
                ),
            ),
        ];
        for (turn, (open, close, body)) in cases {
            let found = syntax(&format!("{TURNS}{turn}{END}")).unwrap();
            assert_eq!(found, Syntax { open: open.into(), close: close.into(), body }, "{turn}");
        }
    }

    /// Thoughts before a call are no part of its syntax, whether the template begins them or shows that there were none.
    #[test]
    fn thoughts_are_no_part_of_a_call() {
        let turn = "{{ m.content or '' }}{% for c in m.tool_calls or [] %}<tool_call>\n{\"name\": \"{{ c.function.name }}\", \
                    \"arguments\": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}";
        let opens = END.replace("assistant\n", "assistant\n<think>\n");
        assert_eq!(syntax(&format!("{TURNS}{turn}{opens}")), Some(Syntax::hermes()));
        let shows = format!("{{% if m.role == 'assistant' %}}<think>\n\n</think>\n\n{{% endif %}}{turn}");
        assert_eq!(syntax(&format!("{TURNS}{shows}{END}")), Some(Syntax::hermes()));
    }

    #[test]
    fn a_template_without_functions_has_no_syntax() {
        assert_eq!(syntax("{% for m in messages %}{{ m.content }}{% endfor %}"), None);
        let described = "{% if tools %}Write <tool_call>{...}</tool_call>{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}";
        assert_eq!(syntax(described), Some(Syntax::hermes()));
    }
}
