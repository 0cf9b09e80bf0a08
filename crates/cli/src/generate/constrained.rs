//! `glass generate --json-schema`: a text that is JSON of a given shape.

use std::fs;

use glass_generate::{FinishReason, GenerateOptions, Generated, JsonSchema, Llama};

use serde_json::Value;

use super::search;
use crate::{args, error::CliError, load};

/// The schema, if one is asked for, and asked for with nothing that it does not go with. Read before the model is loaded.
pub fn read(args: &args::Generate) -> Result<Option<JsonSchema>, CliError> {
    let Some(path) = &args.json_schema else {
        return Ok(None);
    };
    let searches = search::is_wanted(&args.search);
    let many = [
        ("--exhaustive", args.search.exhaustive),
        ("--num-beams", searches),
        ("--batch", args.batch.batch.is_some()),
    ];
    if let Some((name, _)) = many.iter().find(|(_, given)| *given) {
        return Err(CliError::Usage(format!(
            "--json-schema is built for one text, chosen token by token: leave it out, or leave {name} out"
        )));
    }
    let cut = [
        ("--stop", !args.stop.is_empty()),
        ("--ignore-eos", args.ignore_eos),
    ];
    if let Some((name, _)) = cut.iter().find(|(_, given)| *given) {
        return Err(CliError::Usage(format!(
            "--json-schema says itself where the text ends: leave {name} out"
        )));
    }
    let text = fs::read_to_string(path).map_err(|source| CliError::Read {
        path: path.clone(),
        source,
    })?;
    let schema = JsonSchema::parse(&text).map_err(|error| CliError::Input {
        path: path.clone(),
        reason: error.to_string(),
    })?;
    Ok(Some(schema))
}

/// Takes out the makers' stop strings, which would cut the value.
pub fn without_stop_strings(options: &mut GenerateOptions) {
    if !options.stop_strings.is_empty() {
        options.stop_strings.clear();
        load::warn([
            "generation_config.json: stop_strings is ignored: --json-schema says where the text ends",
        ]);
    }
}

/// Says where the text is not what was asked for.
pub fn warn_if_unusable(out: &Generated, llama: &Llama) {
    let tokens = out.ids.len();
    if out.finish_reason == FinishReason::Length {
        let advice = match out.prompt_tokens + tokens > llama.config.context() {
            true => "the context is full",
            false => "--max-new-tokens allows more",
        };
        load::warn([format!(
            "the JSON is cut after {tokens} tokens, before its end ({advice})"
        )]);
    } else if out.finish_reason != FinishReason::Interrupted
        && let Some(text) = &out.text
        && let Err(error) = serde_json::from_str::<Value>(text)
    {
        // Where the schema allows anything, a number may be larger than any float.
        load::warn([format!("the text has JSON's grammar, but: {error}")]);
    }
}
