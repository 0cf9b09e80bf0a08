//! `glass generate`: one text, token by token.

use std::io::{self, IsTerminal, Write};

use glass_backend::peak_host_bytes;
use glass_generate::{FinishReason, GenerateOptions, Generated, JsonSchema, Llama, SamplingError, Speculation};
use glass_kv_cache::CacheConfig;
use serde_json::{Value, json};

use crate::{
    args,
    error::CliError,
    interrupt, json_schema,
    load::{self, Loaded},
    logprobs, options,
    prompt::{self, Prompt},
    say::{is_quiet, print_line, say, status, warn},
    stream,
};

pub fn run(args: args::Generate) -> Result<(), CliError> {
    args.decoding.sampling.validate()?; // before the model is loaded
    let guesses = args.prompt_lookup.map(|_| "--prompt-lookup").or(args.draft.as_ref().map(|_| "--draft"));
    if let Some(option) = guesses.filter(|_| args.decoding.cache.policy.is_some_and(CacheConfig::drops_states)) {
        return Err(CliError::Usage(format!(
            "{option} takes wrong guesses back, and --cache tova has forgotten other states for them: use full, ring or \
             sinks"
        )));
    }
    let schema = args.json_schema.as_deref();
    let schema = schema.map(json_schema::read).transpose()?;
    let prompt = prompt::read(&args.prompt)?;

    let loaded = load::load_any(&args.model, &args.compute)?;
    let llama = &loaded.llama;
    let ids = prompt.ids(llama)?;
    prompt::warn_unknown(llama.tokenizer.as_ref(), prompt.text())?;
    let options = options(&args, schema, llama, ids.len())?;
    let draft = args.draft.as_ref().map(|draft| load_draft(draft, &args.compute)).transpose()?;

    if args.echo {
        print_prompt(&prompt, &ids, llama)?;
    } else if !args.json {
        echo(&args.prompt, &prompt);
    }
    let out: &mut dyn Write = if args.json { &mut io::sink() } else { &mut io::stdout() };
    let generated = stream::generate(llama, draft.as_ref().map(|draft| &draft.llama), &ids, &options, out)?;

    if args.json {
        print_line(report(&loaded, &generated))?;
    } else {
        print_line("")?; // ends the line of the text
    }
    if options.json_schema.is_some() {
        json_schema::warn_if_not_json(&generated, llama);
    }
    if !args.json {
        show_costs(&loaded, draft.as_ref(), &generated);
    }
    ended(&generated)
}

/// The draft model, on the model's device and in the type it is stored in.
fn load_draft(name: &str, compute: &args::Compute) -> Result<Loaded, CliError> {
    let source = args::Source { model: name.to_owned(), revision: None };
    let model = args::Model { source, overrides: Vec::new() };
    load::load(&model, &args::Compute { dtype: None, keep: false, ..compute.clone() })
}

fn options(
    args: &args::Generate,
    schema: Option<JsonSchema>,
    llama: &Llama,
    prompt: usize,
) -> Result<GenerateOptions, CliError> {
    let (max_new_tokens, warning) = options::max_new_tokens(&args.decoding.length, llama, prompt)?;
    let mut options = GenerateOptions {
        max_new_tokens,
        prompt_lookup: args.prompt_lookup,
        json_schema: schema,
        score: args.json,
        ..options::decoding(&args.decoding, llama, prompt)?
    };
    if options.json_schema.is_some() && !options.stop_strings.is_empty() {
        options.stop_strings.clear();
        warn(["generation_config.json: stop_strings is ignored: --json-schema says where the text ends"]);
    }
    warn(warning);
    let total = prompt.saturating_add(max_new_tokens);
    if options.prompt_lookup.is_some()
        && let Some(rope) = llama.config.rope_by_length(total)
    {
        warn([format!(
            "--prompt-lookup is without effect beyond the trained context: rope type {} turns tokens by the length of their pass",
            rope.scaling.name()
        )]);
    }
    Ok(options)
}

/// The prompt as it was given; ids as the text they stand for, if there is a tokenizer.
fn print_prompt(prompt: &Prompt, ids: &[u32], llama: &Llama) -> Result<(), CliError> {
    let text = match (prompt, &llama.tokenizer) {
        (Prompt::Text(text), _) => text.clone(),
        (Prompt::Ids(_), Some(tokenizer)) => tokenizer.decode(ids, true)?,
        (Prompt::Ids(ids), None) => ids.iter().map(|id| format!("{id} ")).collect(),
    };
    io::stdout().write_all(text.as_bytes()).map_err(CliError::stdout)
}

/// On a terminal the text follows the prompt that was typed; a pipe gets the new text alone.
fn echo(args: &args::Prompt, prompt: &Prompt) {
    if let (Some(_), Prompt::Text(text)) = (&args.text, prompt)
        && io::stderr().is_terminal()
        && !is_quiet()
    {
        let _ = write!(io::stderr(), "{text}");
    }
}

/// Below the text: how probable its tokens were, if that was asked for, and what it cost.
fn show_costs(loaded: &Loaded, draft: Option<&Loaded>, generated: &Generated) {
    if let Some(logprobs) = &generated.logprobs {
        let tokenizer = loaded.llama.tokenizer.as_ref();
        say!("{}", logprobs::table(logprobs, tokenizer));
    }
    status!("{}", summary(loaded, generated));
    if let Some(speculation) = &generated.speculation {
        status!("{}", drafts(speculation, if draft.is_some() { "draft model" } else { "prompt lookup" }));
    }
}

/// # Errors
/// Ctrl-C ended the text, or no token was left.
pub fn ended(generated: &Generated) -> Result<(), CliError> {
    match generated.finish_reason {
        FinishReason::NoToken => Err(SamplingError::NothingLeft.into()),
        reason => interrupt::outcome(reason == FinishReason::Interrupted),
    }
}

pub fn summary(loaded: &Loaded, out: &Generated) -> String {
    let memory = peak_host_bytes().map_or(String::new(), |bytes| format!(", peak memory {} MB", bytes / 1_000_000));
    let at = |speed: Option<f64>| speed.map_or(String::new(), |speed| format!(" at {speed:.1}/s"));
    format!(
        "glass: {} prompt tokens{}, {} new ones{} ({}), {}{memory}",
        out.prompt_tokens,
        at(out.prefill_tokens_per_second()),
        out.ids.len(),
        at(out.decode_tokens_per_second()),
        out.finish_reason,
        loaded.summary(),
    )
}

/// One line about the drafts, by what made them.
fn drafts(speculation: &Speculation, made_by: &str) -> String {
    let Speculation { passes, drafted, accepted, .. } = speculation;
    let mut line = format!("glass: {made_by}: {accepted} of {drafted} drafted tokens accepted");
    if let Some(tokens) = speculation.tokens_per_pass() {
        line += &format!(", {tokens:.2} tokens per pass over {passes} passes");
    }
    if let Some(times) = speculation.speed_up() {
        line += &format!(", about {times:.2} times as fast as without");
    }
    line
}

fn report(loaded: &Loaded, out: &Generated) -> Value {
    let mut sequence = json!({
        "ids": out.ids,
        "text": out.text,
        "score": out.score,
        "finish_reason": out.finish_reason.to_string(),
    });
    if let Some(logprobs) = &out.logprobs {
        sequence["logprobs"] = logprobs::json(logprobs, loaded.llama.tokenizer.as_ref());
    }
    let mut report = json!({
        "sequences": [sequence],
        "prompt_tokens": out.prompt_tokens,
        "generated_tokens": out.ids.len(),
        "load_seconds": loaded.duration.as_secs_f64(),
        "prefill_tokens_per_second": out.prefill_tokens_per_second(),
        "decode_tokens_per_second": out.decode_tokens_per_second(),
        "peak_memory_bytes": peak_host_bytes(),
        "device": loaded.llama.device.name(),
        "dtype": loaded.llama.precision.to_string(),
    });
    if let Some(speculation) = &out.speculation {
        report["speculation"] = json!({
            "passes": speculation.passes,
            "drafted": speculation.drafted,
            "accepted": speculation.accepted,
            "acceptance": speculation.acceptance(),
            "tokens_per_pass": speculation.tokens_per_pass(),
            "speed_up": speculation.speed_up(),
        });
    }
    report
}
