//! Calls that the model need not make, of functions whose arguments must satisfy their schema.

use serde_json::{Value, json};

use super::{Body, Syntax, Tool, forced::call_schema, syntax::CALL_ID};
use crate::reasoning;

/// The marks behind which this syntax has a call, each with the schema of what follows: strict functions get what they ask for,
/// others any object. `None` where a call does not begin with a mark, has a name of its own, or is no JSON: it cannot be held.
pub fn marked(tools: &[Tool], syntax: &Syntax) -> Option<Vec<(String, Value)>> {
    let Syntax { open, body, .. } = syntax;
    match body {
        _ if open.is_empty() => None,
        Body::Pairs { .. } => None,
        Body::Named { between } if between.contains(CALL_ID) => None,
        Body::Json { name, arguments, list } => {
            let parameters =
                |tool: &Tool| if tool.strict { tool.parameters.clone() } else { json!({ "type": "object" }) };
            let each = tools.iter().map(|tool| (&*tool.name, parameters(tool)));
            let mut call = call_schema(each, (name, arguments));
            if *list {
                let definitions = call["$defs"].take();
                if let Some(fields) = call.as_object_mut() {
                    fields.shift_remove("$defs");
                }
                call = json!({ "type": "array", "items": call, "minItems": 1, "$defs": definitions });
            }
            Some(vec![(open.clone(), call)])
        }
        Body::Named { between } => {
            let strict = tools.iter().filter(|tool| tool.strict);
            let marked = |tool: &Tool| {
                let (name, parameters) = (tool.name.clone(), tool.parameters.clone());
                reasoning::between(open, between)
                    .into_iter()
                    .map(move |between| (format!("{open}{name}{between}"), parameters.clone()))
            };
            Some(strict.flat_map(marked).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use glass_generate::JsonSchema;

    use super::*;

    #[test]
    fn every_syntax_with_a_mark_has_a_schema_that_is_honoured() {
        let parameters = json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}, "required": ["x"],
            "additionalProperties": false, "$defs": {"n": {"type": "integer"}}});
        let tool =
            |name: &str, strict| Tool { name: name.into(), description: None, parameters: parameters.clone(), strict };
        let tools = [tool("f", true), tool("g", false)];
        let json = |open: &str, list| Syntax {
            open: open.into(),
            close: String::new(),
            body: Body::Json { name: "name".into(), arguments: "arguments".into(), list },
        };
        for (syntax, mark) in [
            (json("<tool_call>", false), "<tool_call>"),
            (json("[CALLS]", true), "[CALLS]"),
            (Syntax { body: Body::Named { between: "[ARGS]".into() }, ..json("[CALLS]", false) }, "[CALLS]f[ARGS]"),
        ] {
            let marked = marked(&tools, &syntax).unwrap();
            assert_eq!((marked.len(), &*marked[0].0), (1, mark));
            JsonSchema::parse(&marked[0].1.to_string()).unwrap();
        }
        // gpt-oss writes its header in another order than its template.
        let body = Body::Named { between: "<|channel|>commentary json<|message|>".into() };
        let all = marked(&tools, &Syntax { body, ..json("to=functions.", false) }).unwrap();
        let marks: Vec<&str> = all.iter().map(|(mark, _)| mark.as_str()).collect();
        assert_eq!(
            marks[..2],
            ["to=functions.f<|channel|>commentary json<|message|>", "to=functions.f <|constrain|>json<|message|>"]
        );
        assert_eq!(marked(&tools, &json("", false)), None);
        let named = Body::Named { between: format!("[CALL_ID]{CALL_ID}[ARGS]") };
        assert_eq!(marked(&tools, &Syntax { body: named, ..json("[CALLS]", false) }), None);
    }
}
