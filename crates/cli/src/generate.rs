//! `glass generate`

mod batch;
mod constrained;
mod logprobs;
mod sampling;
mod search;

use std::io::{self, IsTerminal, Write};

use glass_attention::{CachePlan, CachePolicy, Rope};
use glass_generate::{
    FinishReason, GenerateOptions, Generated, JsonSchema, Llama, Memory, Progress, SamplingConfig,
    Speculation,
};
pub use sampling::{overlay, sampling, warn_of_chance_without_effect};
use serde_json::{Value, json};

use crate::{
    args,
    error::CliError,
    interrupt,
    load::{self, Loaded},
    prompt,
    say::say,
    stream::TextStream,
};

/// How much is written where neither the user nor the model's makers say.
const MAX_NEW_TOKENS: usize = 256;

pub fn run(args: args::Generate) -> Result<(), CliError> {
    overlay(&args.sampling, SamplingConfig::default()).validate()?; // before anybody waits for a model
    let tova = |plan: CachePlan| {
        let mut policies = [plan.full, plan.sliding].into_iter().flatten();
        policies.any(|policy| matches!(policy, CachePolicy::Tova { .. }))
    };
    if args.prompt_lookup.is_some() && args.cache.is_some_and(tova) {
        return Err(CliError::Usage(
            "--prompt-lookup takes wrong guesses back, and --cache tova has forgotten other states for them: use full, ring or sinks"
                .to_owned(),
        ));
    }
    let schema = constrained::read(&args)?;
    search::check(&args)?;
    if let Some(size) = args.batch.batch {
        return batch::run(&args, size);
    }
    if let Some(path) = &args.prompt.prompt_file
        && path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
    {
        load::warn([format!(
            "{} is read as one text: --batch N takes its lines as prompts",
            path.display()
        )]);
    }
    let typed = args.prompt.text.is_some();
    let given = prompt::read(&args.prompt)?;
    let loaded = load::load(&args.model, &args.compute)?;
    let llama = &loaded.llama;
    let ids = prompt::ids(&given, llama)?;
    let room = llama.room(ids.len())?;
    check_stop_strings(&args, llama)?;
    let memory = load::memory(
        args.cache.unwrap_or_default(),
        args.prefill_chunk,
        llama,
        ids.len(),
    )?;
    let mut options = options(&args, llama, ids.len(), room, memory);
    if schema.is_some() {
        constrained::without_stop_strings(&mut options);
    }
    options.sampling.check_vocabulary(llama.config.vocab_size)?;
    if options.max_new_tokens == 0 && args.max_new_tokens.is_none() {
        load::warn([
            "generation_config.json allows no new tokens after this prompt: --max-new-tokens does",
        ]);
    }
    if options.max_new_tokens > room {
        load::warn([format!(
            "the model's context of {} tokens has room for {room} new ones, and what comes after them may be noise",
            llama.config.context()
        )]);
    }
    let rope = Rope::new(&llama.config);
    if options.prompt_lookup.is_some()
        && rope.depends_on_length(ids.len().saturating_add(options.max_new_tokens))
    {
        load::warn([format!(
            "--prompt-lookup is without effect beyond the trained context: rope type {} turns tokens by the length of their pass",
            rope.name()
        )]);
    }
    if search::is_wanted(&args.search) {
        return search::run(&loaded, &ids, &options, &args);
    }
    warn_of_chance_without_effect(&args.sampling, &options.sampling);
    let judge = |out: &Generated| {
        if schema.is_some() {
            constrained::warn_if_unusable(out, llama);
        }
    };
    if args.json {
        let out = stream_one(llama, &ids, &options, schema.as_ref(), &mut io::sink())?;
        let text = report(&loaded, &out).to_string();
        writeln!(io::stdout(), "{text}").map_err(CliError::stdout)?;
        judge(&out);
        return ended(&out);
    }
    // On a terminal the text stands behind the prompt that was typed; a pipe gets the new text alone.
    if let (prompt::Given::Text(text), true) = (&given, typed && io::stderr().is_terminal()) {
        eprint!("{text}");
    }
    let out = stream_one(llama, &ids, &options, schema.as_ref(), &mut io::stdout())?;
    println_stdout()?;
    judge(&out);
    if let Some(logprobs) = &out.logprobs {
        say!("{}", logprobs::table(logprobs, llama.tokenizer.as_ref()));
    }
    say!("{}", summary(&loaded, &out));
    if let Some(speculation) = &out.speculation {
        say!("{}", drafts(speculation));
    }
    ended(&out)
}

/// Stop strings are text: without a tokenizer nobody would find them.
fn check_stop_strings(args: &args::Generate, llama: &Llama) -> Result<(), CliError> {
    if llama.tokenizer.is_some() {
        return Ok(());
    }
    if !args.stop.is_empty() {
        return Err(CliError::Usage(format!(
            "--stop watches the text, and {} has no tokenizer.json that would make ids text: leave it out",
            llama.folder.display()
        )));
    }
    if !llama.generation_config.stop_strings.is_empty() {
        load::warn([
            "generation_config.json: stop_strings is ignored: there is no tokenizer.json that would make ids text",
        ]);
    }
    Ok(())
}

/// How a prompt of so many tokens, behind which the context has `room`, is continued: what the user says, over what the
/// model's makers say.
fn options(
    args: &args::Generate,
    llama: &Llama,
    prompt: usize,
    room: usize,
    memory: Memory,
) -> GenerateOptions {
    GenerateOptions {
        sampling: sampling(llama, &args.sampling),
        max_new_tokens: args.max_new_tokens.unwrap_or_else(|| {
            let theirs = &llama.generation_config;
            // Its max_length counts the prompt too.
            let rest = theirs.max_length.map(|all| all.saturating_sub(prompt));
            let new = theirs.max_new_tokens.or(rest);
            new.unwrap_or(MAX_NEW_TOKENS).min(room)
        }),
        eos_ids: match args.ignore_eos {
            true => vec![],
            false => llama.eos_ids(),
        },
        stop_strings: [&llama.generation_config.stop_strings[..], &args.stop].concat(),
        memory,
        logprobs: args.logprobs,
        prompt_lookup: args.prompt_lookup,
    }
}

/// Generates and writes text to `out` as soon as it is final; ids, where there is no tokenizer.
pub fn stream(
    llama: &Llama,
    ids: &[u32],
    options: &GenerateOptions,
    out: &mut dyn Write,
) -> Result<Generated, CliError> {
    stream_one(llama, ids, options, None, out)
}

/// The same, held to a schema if there is one.
fn stream_one(
    llama: &Llama,
    ids: &[u32],
    options: &GenerateOptions,
    schema: Option<&JsonSchema>,
    out: &mut dyn Write,
) -> Result<Generated, CliError> {
    interrupt::listen();
    let mut text = TextStream::new(llama.tokenizer.is_some(), out);
    let mut progress = |progress: Progress<'_>| text.show(progress);
    let generated = match schema {
        Some(schema) => llama.generate_json(ids, options, schema, &mut progress),
        None => llama.generate(ids, options, &mut progress),
    }?;
    text.end()?;
    Ok(generated)
}

pub fn println_stdout() -> Result<(), CliError> {
    writeln!(io::stdout()).map_err(CliError::stdout)
}

pub fn ended(out: &Generated) -> Result<(), CliError> {
    match out.finish_reason {
        FinishReason::Interrupted => Err(CliError::Interrupted),
        _ => Ok(()),
    }
}

pub fn summary(loaded: &Loaded, out: &Generated) -> String {
    let memory = glass_bench::peak_host_bytes().map_or(String::new(), |bytes| {
        format!(", peak memory {} MB", bytes / 1_000_000)
    });
    let at = |speed: Option<f64>| speed.map_or(String::new(), |speed| format!(" at {speed:.1}/s"));
    format!(
        "glass: {} prompt tokens{}, {} new ones{} ({}), loaded in {:.2} s, device {}, {}{memory}",
        out.prompt_tokens,
        at(out.prefill_tokens_per_second()),
        out.ids.len(),
        at(out.decode_tokens_per_second()),
        out.finish_reason,
        loaded.load.as_secs_f64(),
        loaded.llama.device.name(),
        loaded.llama.dtype,
    )
}

/// One line about what was guessed.
fn drafts(speculation: &Speculation) -> String {
    let Speculation {
        passes,
        drafted,
        accepted,
        ..
    } = speculation;
    let mut line = format!("glass: prompt lookup: {accepted} of {drafted} drafted tokens accepted");
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
        "load_seconds": loaded.load.as_secs_f64(),
        "prefill_tokens_per_second": out.prefill_tokens_per_second(),
        "decode_tokens_per_second": out.decode_tokens_per_second(),
        "peak_memory_bytes": glass_bench::peak_host_bytes(),
        "device": loaded.llama.device.name(),
        "dtype": loaded.llama.dtype.to_string(),
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
