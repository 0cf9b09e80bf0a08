//! `glass generate`

use std::io::{self, IsTerminal, Write};

use glass_causal_lm::{
    Llama,
    generate::{FinishReason, GenerateOptions, Generated, SamplingConfig},
};
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
    let typed = args.prompt.text.is_some();
    let given = prompt::read(args.prompt)?;
    let loaded = load::load(&args.model, &args.compute)?;
    let llama = &loaded.llama;
    let ids = prompt::ids(&given, llama)?;
    let room = llama.room(ids.len())?;
    if llama.tokenizer.is_none() && !args.stop.is_empty() {
        return Err(CliError::Usage(format!(
            "--stop watches the text, and {} has no tokenizer.json that would make ids text: leave it out",
            llama.folder.display()
        )));
    }
    if llama.tokenizer.is_none() && !llama.generation_config.stop_strings.is_empty() {
        load::warn([
            "generation_config.json: stop_strings is ignored: there is no tokenizer.json that would make ids text",
        ]);
    }
    let options = GenerateOptions {
        sampling: sampling(llama, &args.sampling),
        max_new_tokens: args.max_new_tokens.unwrap_or_else(|| {
            let theirs = &llama.generation_config;
            // Its max_length counts the prompt too.
            let rest = theirs.max_length.map(|all| all.saturating_sub(ids.len()));
            let new = theirs.max_new_tokens.or(rest);
            new.unwrap_or(MAX_NEW_TOKENS).min(room)
        }),
        eos_ids: match args.ignore_eos {
            true => vec![],
            false => llama.eos_ids(),
        },
        stop_strings: [&llama.generation_config.stop_strings[..], &args.stop].concat(),
        memory: load::memory(
            args.cache.unwrap_or_default(),
            args.prefill_chunk,
            llama,
            ids.len(),
        )?,
    };
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
    if options.sampling.is_greedy() {
        let given = [
            ("--top-k", args.sampling.top_k.is_some()),
            ("--top-p", args.sampling.top_p.is_some()),
            ("--min-p", args.sampling.min_p.is_some()),
            ("--seed", args.sampling.seed.is_some()),
        ];
        let given: Vec<_> = given
            .iter()
            .filter(|(_, given)| *given)
            .map(|(name, _)| *name)
            .collect();
        if !given.is_empty() {
            load::warn([format!(
                "{} without effect: the most probable token is taken always (--temperature 1 samples)",
                given.join(", ")
            )]);
        }
    }
    if args.json {
        let out = stream(llama, &ids, &options, &mut io::sink())?;
        let text = report(&loaded, &out).to_string();
        writeln!(io::stdout(), "{text}").map_err(CliError::stdout)?;
        return ended(&out);
    }
    // On a terminal the text stands behind the prompt that was typed; a pipe gets the new text alone.
    if let (prompt::Given::Text(text), true) = (&given, typed && io::stderr().is_terminal()) {
        eprint!("{text}");
    }
    let out = stream(llama, &ids, &options, &mut io::stdout())?;
    println_stdout()?;
    say!("{}", summary(&loaded, &out));
    ended(&out)
}

/// What the user says, over what the model's makers say.
pub fn sampling(llama: &Llama, args: &args::Sampling) -> SamplingConfig {
    let mut theirs = llama.generation_config.clone();
    if let Some(temperature) = args.temperature {
        // A temperature asks for sampling, and 0 for none; the makers' other numbers then hold as they would there.
        theirs.do_sample = Some(temperature != 0.0);
        theirs.temperature = Some(temperature);
    } else if [args.top_p, args.min_p].iter().any(Option::is_some) || args.top_k.is_some() {
        theirs.do_sample = Some(true);
    }
    overlay(args, theirs.sampling(0))
}

/// `under`, wherever the user says nothing.
pub fn overlay(args: &args::Sampling, under: SamplingConfig) -> SamplingConfig {
    SamplingConfig {
        temperature: args.temperature.unwrap_or(under.temperature),
        top_k: args.top_k.unwrap_or(under.top_k),
        top_p: args.top_p.unwrap_or(under.top_p),
        min_p: args.min_p.unwrap_or(under.min_p),
        repetition_penalty: args.repetition_penalty.unwrap_or(under.repetition_penalty),
        seed: args.seed.unwrap_or(under.seed),
    }
}

/// Generates and writes text to `out` as soon as it is final; ids, where there is no tokenizer.
pub fn stream(
    llama: &Llama,
    ids: &[u32],
    options: &GenerateOptions,
    out: &mut dyn Write,
) -> Result<Generated, CliError> {
    interrupt::listen();
    let mut text = TextStream::new(llama.tokenizer.is_some(), out);
    let generated = llama.generate(ids, options, &mut |progress| text.show(progress))?;
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

fn report(loaded: &Loaded, out: &Generated) -> Value {
    json!({
        "sequences": [{
            "ids": out.ids,
            "text": out.text,
            "score": out.score,
            "finish_reason": out.finish_reason.to_string(),
        }],
        "prompt_tokens": out.prompt_tokens,
        "generated_tokens": out.ids.len(),
        "load_seconds": loaded.load.as_secs_f64(),
        "prefill_tokens_per_second": out.prefill_tokens_per_second(),
        "decode_tokens_per_second": out.decode_tokens_per_second(),
        "peak_memory_bytes": glass_bench::peak_host_bytes(),
        "device": loaded.llama.device.name(),
        "dtype": loaded.llama.dtype.to_string(),
    })
}
