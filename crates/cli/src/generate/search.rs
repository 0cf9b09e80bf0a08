//! `glass generate --num-beams` and `--exhaustive`: the most probable texts, looked for.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
};

use glass_generate::{
    Advance, BeamOptions, ExhaustiveOptions, Found, GenerateOptions, Hypothesis, SamplingConfig,
};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::{
    args,
    error::CliError,
    interrupt,
    load::{self, Loaded},
    say::say,
};

/// One beam is greedy decoding, or sampling.
pub fn is_wanted(search: &args::Search) -> bool {
    search.exhaustive || search.num_beams.is_some_and(|beams| beams.get() > 1)
}

/// What does not go together.
pub fn check(args: &args::Generate) -> Result<(), CliError> {
    let (search, sampling) = (&args.search, &args.sampling);
    let name = |options: &[(&'static str, bool)]| {
        let given = options.iter().filter(|(_, given)| *given);
        given.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    if !is_wanted(search) {
        let without = name(&[
            ("--length-penalty", search.length_penalty.is_some()),
            ("--early-stopping", search.early_stopping.is_some()),
            (
                "--num-return-sequences",
                search.num_return_sequences.is_some(),
            ),
        ]);
        return match without.is_empty() {
            true => Ok(()),
            false => Err(CliError::Usage(format!(
                "{without} is about searching: add --num-beams N (2 or more), or leave it out"
            ))),
        };
    }
    let chance = name(&[
        (
            "--temperature",
            sampling.temperature.is_some_and(|t| t != 0.0),
        ),
        ("--top-k", sampling.top_k.is_some()),
        ("--top-p", sampling.top_p.is_some()),
        ("--min-p", sampling.min_p.is_some()),
        ("--typical-p", sampling.typical_p.is_some()),
        ("--seed", sampling.seed.is_some()),
    ]);
    if !chance.is_empty() {
        return Err(CliError::Usage(format!(
            "{chance} is about drawing tokens, and a search draws none: leave it out, or leave {} out",
            wanted(search)
        )));
    }
    if !args.stop.is_empty() {
        return Err(CliError::Usage(format!(
            "--stop watches one text, and a search writes many at once: leave it out, or leave {} out",
            wanted(search)
        )));
    }
    let unheard = name(&[
        ("--logprobs", args.logprobs.is_some()),
        ("--prompt-lookup", args.prompt_lookup.is_some()),
    ]);
    if !unheard.is_empty() {
        return Err(CliError::Usage(format!(
            "{unheard} is not built for searches: leave it out, or leave {} out",
            wanted(search)
        )));
    }
    let idle = name(&[
        (
            "--repetition-penalty",
            sampling.repetition_penalty.is_some(),
        ),
        ("--presence-penalty", sampling.presence_penalty.is_some()),
        ("--frequency-penalty", sampling.frequency_penalty.is_some()),
        (
            "--no-repeat-ngram-size",
            sampling.no_repeat_ngram_size.is_some(),
        ),
        ("--logit-bias", !sampling.logit_bias.is_empty()),
        ("--cache", args.cache.is_some()),
        ("--prefill-chunk", args.prefill_chunk.is_some()),
    ]);
    if search.exhaustive && !idle.is_empty() {
        return Err(CliError::Usage(format!(
            "{idle} has no place in an exhaustive search, which scores whole texts by the model's own distribution: leave \
             it out"
        )));
    }
    beam_options(search, 0)
        .validate()
        .map_err(glass_generate::Error::from)?;
    Ok(())
}

fn wanted(search: &args::Search) -> &'static str {
    match search.exhaustive {
        true => "--exhaustive",
        false => "--num-beams",
    }
}

fn beam_options(search: &args::Search, max_new_tokens: usize) -> BeamOptions {
    let wanted = search.num_return_sequences.unwrap_or(NonZeroUsize::MIN);
    // An exhaustive search has as many as are asked for.
    let beams = search.num_beams.unwrap_or(wanted);
    BeamOptions {
        length_penalty: search.length_penalty.unwrap_or(1.0),
        early_stopping: search.early_stopping.unwrap_or_default(),
        num_return_sequences: wanted,
        ..BeamOptions::new(beams, max_new_tokens)
    }
}

pub fn run(
    loaded: &Loaded,
    ids: &[u32],
    options: &GenerateOptions,
    args: &args::Generate,
) -> Result<(), CliError> {
    let Loaded { llama, .. } = loaded;
    let theirs = &llama.generation_config;
    let given = beam_options(&args.search, options.max_new_tokens);
    let beams = BeamOptions {
        length_penalty: args
            .search
            .length_penalty
            .or(theirs.length_penalty)
            .unwrap_or(given.length_penalty),
        early_stopping: args
            .search
            .early_stopping
            .or(theirs.early_stopping)
            .unwrap_or(given.early_stopping),
        rules: SamplingConfig {
            temperature: 0.0,
            ..options.sampling.clone()
        },
        eos_ids: options.eos_ids.clone(),
        memory: options.memory,
        ..given
    };
    let all = args.search.exhaustive.then(|| ExhaustiveOptions {
        length_penalty: beams.length_penalty,
        num_return_sequences: beams.num_return_sequences,
        max_new_tokens: beams.max_new_tokens,
        eos_ids: beams.eos_ids.clone(),
    });
    if let Some(all) = &all {
        all.validate(llama.config.vocab_size)
            .map_err(glass_generate::Error::from)?;
    }
    warn_of_what_is_not_honoured(options, args);
    interrupt::listen();
    let bar = load::tokens_bar("searching");
    let found = match &all {
        Some(all) => llama.exhaustive_search(ids, all, &mut |advance| show(&bar, advance)),
        None => {
            bar.set_length((beams.num_beams.get() * beams.max_new_tokens) as u64);
            llama.beam_search(ids, &beams, &mut |advance| show(&bar, advance))
        }
    };
    bar.finish_and_clear();
    let found = found?;
    match args.json {
        true => {
            let text = report(loaded, &found).to_string();
            writeln!(io::stdout(), "{text}").map_err(CliError::stdout)?;
        }
        false => print(loaded, &found)?,
    }
    match found.interrupted {
        true => Err(CliError::Interrupted),
        false => Ok(()),
    }
}

fn warn_of_what_is_not_honoured(options: &GenerateOptions, args: &args::Generate) {
    let name = wanted(&args.search);
    if args.sampling.temperature.is_none() && !options.sampling.is_greedy() {
        load::warn([format!(
            "generation_config.json: do_sample is not honoured with {name}: a search draws nothing"
        )]);
    }
    if !options.stop_strings.is_empty() {
        load::warn([format!(
            "generation_config.json: stop_strings is not honoured with {name}"
        )]);
    }
    if args.search.exhaustive && options.sampling.looks_back() {
        load::warn([
            "generation_config.json: penalties, n-gram rules and biases are not honoured with --exhaustive",
        ]);
    }
}

fn show(bar: &ProgressBar, advance: Advance) -> std::ops::ControlFlow<()> {
    if let Advance::Tokens(tokens) = advance {
        bar.set_position(tokens as u64);
    }
    interrupt::flow()
}

/// The texts to standard output; what they are worth to standard error.
fn print(loaded: &Loaded, found: &Found) -> Result<(), CliError> {
    for (index, sequence) in found.sequences.iter().enumerate() {
        if found.sequences.len() > 1 {
            say!(
                "glass: {} of {}: score {:.4}, log-probability {:.4}, {} tokens ({})",
                index + 1,
                found.sequences.len(),
                sequence.score,
                sequence.log_prob,
                sequence.ids.len(),
                sequence.finish_reason
            );
        }
        let text = match &sequence.text {
            Some(text) => text.clone(),
            None => {
                let ids: Vec<String> = sequence.ids.iter().map(u32::to_string).collect();
                ids.join(" ")
            }
        };
        writeln!(io::stdout(), "{text}").map_err(CliError::stdout)?;
    }
    let best = found.sequences.first();
    say!(
        "glass: {} prompt tokens, searched {} tokens at {:.1}/s, {}, loaded in {:.2} s, device {}, {}",
        found.prompt_tokens,
        found.searched_tokens,
        speed(found),
        best.map_or("nothing possible".to_owned(), |best| format!(
            "best score {:.4} with {} tokens ({})",
            best.score,
            best.ids.len(),
            best.finish_reason
        )),
        loaded.load.as_secs_f64(),
        loaded.llama.device.name(),
        loaded.llama.dtype,
    );
    Ok(())
}

fn speed(found: &Found) -> f64 {
    let seconds = found.prefill + found.decode;
    found.searched_tokens as f64 / seconds.as_secs_f64().max(1e-9)
}

fn report(loaded: &Loaded, found: &Found) -> Value {
    let sequence = |sequence: &Hypothesis| {
        json!({
            "ids": sequence.ids,
            "text": sequence.text,
            "score": sequence.score,
            "log_prob": sequence.log_prob,
            "finish_reason": sequence.finish_reason.to_string(),
        })
    };
    json!({
        "sequences": found.sequences.iter().map(sequence).collect::<Vec<_>>(),
        "prompt_tokens": found.prompt_tokens,
        "searched_tokens": found.searched_tokens,
        "searched_tokens_per_second": speed(found),
        "interrupted": found.interrupted,
        "load_seconds": loaded.load.as_secs_f64(),
        "peak_memory_bytes": glass_bench::peak_host_bytes(),
        "device": loaded.llama.device.name(),
        "dtype": loaded.llama.dtype.to_string(),
    })
}
