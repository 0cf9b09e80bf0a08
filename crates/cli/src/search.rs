//! `glass search`: the most probable continuations of a text.

use std::ops::ControlFlow;

use glass_generate::{
    BeamOptions, BeamOutput, ExhaustiveOptions, FinishReason, GenerationConfig, Hypothesis, Llama, Progress,
    SamplingConfig, SamplingError, beam_search, exhaustive_search,
};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::{
    args, bars,
    error::CliError,
    interrupt,
    load::{self, Loaded},
    options, prompt,
    say::{print_line, status, warn},
};

/// What to search for, and how.
enum Search {
    Beams(BeamOptions),
    Exhaustive(ExhaustiveOptions),
}

pub fn run(args: args::Search) -> Result<(), CliError> {
    check(&args)?; // before the model is loaded
    let prompt = prompt::read(&args.prompt)?;

    let loaded = load::load(&args.model, &args.compute)?;
    let llama = &loaded.llama;
    let ids = prompt.ids(llama)?;
    prompt::warn_unknown(llama.tokenizer.as_ref(), prompt.text())?;
    let search = Search::new(&args, llama, ids.len())?;

    let found = search.run(llama, &ids)?;

    if args.json {
        print_line(report(&loaded, &found))?;
    } else {
        print_texts(&found)?;
        status!("{}", summary(&loaded, &found));
    }
    let (wanted, count) = (args.num_return_sequences.get(), found.sequences.len());
    if count < wanted && !found.interrupted {
        warn([format!("--num-return-sequences {wanted}: the search found {count}, and there are no more")]);
    }
    if found.sequences.iter().any(|sequence| sequence.finish_reason == FinishReason::NoToken) {
        return Err(SamplingError::NothingLeft.into());
    }
    interrupt::outcome(found.interrupted)
}

fn check(args: &args::Search) -> Result<(), CliError> {
    let beams = beams(args, &GenerationConfig::default());
    args.rules.check_biases()?;
    beams.rules.validate()?;
    if !args.exhaustive {
        beams.validate().map_err(glass_generate::Error::from)?;
    }
    Ok(())
}

/// What does not depend on the prompt: the command line over `config`.
fn beams(args: &args::Search, config: &GenerationConfig) -> BeamOptions {
    let length_penalty = args.length_penalty.or(config.length_penalty);
    let early_stopping = args.early_stopping.or(config.early_stopping);
    BeamOptions {
        length_penalty: length_penalty.unwrap_or(1.0),
        early_stopping: early_stopping.unwrap_or_default(),
        num_return_sequences: args.num_return_sequences,
        rules: SamplingConfig { temperature: 0.0, ..args.rules.over(config.sampling(0)) },
        ..BeamOptions::new(args.num_beams, 0)
    }
}

/// The fields of generation_config.json that a search goes by: the command line does not say otherwise.
fn used(args: &args::Search) -> Vec<&'static str> {
    let unused = [
        ("length_penalty", args.length_penalty.is_some()),
        ("early_stopping", args.exhaustive || args.early_stopping.is_some()),
        ("repetition_penalty", args.exhaustive || args.rules.repetition_penalty.is_some()),
        ("no_repeat_ngram_size", args.exhaustive || args.rules.no_repeat_ngram_size.is_some()),
        ("sequence_bias", args.exhaustive),
    ];
    unused.into_iter().filter_map(|(field, unused)| (!unused).then_some(field)).collect()
}

impl Search {
    /// # Errors
    /// The prompt is too long, or an option does not fit the model.
    fn new(args: &args::Search, llama: &Llama, prompt: usize) -> Result<Self, CliError> {
        let (max_new_tokens, warning) = options::max_new_tokens(&args.length, llama, prompt)?;
        llama.generation_config.check(&used(args))?;
        let beams = BeamOptions {
            max_new_tokens,
            eos_ids: options::eos_ids(&args.length, llama)?,
            prefill: options::prefill(&args.cache, llama, prompt)?,
            ..beams(args, &llama.generation_config)
        };
        let vocab_size = llama.config.vocab_size;
        let search = if args.exhaustive {
            let options = ExhaustiveOptions {
                length_penalty: beams.length_penalty,
                num_return_sequences: beams.num_return_sequences,
                max_new_tokens,
                eos_ids: beams.eos_ids,
            };
            options.validate(vocab_size).map_err(glass_generate::Error::from)?;
            Self::Exhaustive(options)
        } else {
            beams.rules.check_vocabulary(vocab_size)?;
            beams.validate().map_err(glass_generate::Error::from)?;
            Self::Beams(beams)
        };
        warn(warning);
        search.warn_of_ignored(&llama.generation_config);
        Ok(search)
    }

    /// What generation_config.json asks for and a search does not do.
    fn warn_of_ignored(&self, config: &GenerationConfig) {
        let sampling = config.sampling(0);
        if !sampling.is_greedy() {
            warn(["generation_config.json: do_sample is not honoured: a search draws nothing"]);
        }
        if !config.stop_strings.is_empty() {
            warn(["generation_config.json: stop_strings is not honoured: a search follows many texts"]);
        }
        if matches!(self, Self::Exhaustive(_)) && sampling.looks_back() {
            warn(["generation_config.json: penalties, n-gram rules and biases are not honoured with --exhaustive"]);
        }
    }

    /// Searches with a progress bar. Ctrl-C ends it: then what was found until there is returned.
    fn run(&self, llama: &Llama, ids: &[u32]) -> Result<BeamOutput, CliError> {
        interrupt::listen();
        let bar = bars::tokens("searching");
        let found = match self {
            Self::Exhaustive(options) => exhaustive_search(llama, ids, options, &mut |progress| show(&bar, progress)),
            Self::Beams(options) => {
                bar.set_length((options.num_beams.get() * options.max_new_tokens) as u64);
                beam_search(llama, ids, options, &mut |progress| show(&bar, progress))
            }
        };
        bar.finish_and_clear();
        Ok(found?)
    }
}

fn show(bar: &ProgressBar, progress: Progress<'_>) -> ControlFlow<()> {
    if let Progress::Searched(tokens) = progress {
        bar.set_position(tokens as u64);
    }
    interrupt::flow()
}

/// The texts to standard output; the scores of several to standard error.
fn print_texts(found: &BeamOutput) -> Result<(), CliError> {
    for (index, sequence) in found.sequences.iter().enumerate() {
        if found.sequences.len() > 1 {
            status!(
                "glass: {} of {}: score {:.4}, log-probability {:.4}, {} tokens ({})",
                index + 1,
                found.sequences.len(),
                sequence.score,
                sequence.log_prob,
                sequence.ids.len(),
                sequence.finish_reason
            );
        }
        match &sequence.text {
            Some(text) => print_line(text)?,
            None => {
                let ids: Vec<String> = sequence.ids.iter().map(u32::to_string).collect();
                print_line(ids.join(" "))?;
            }
        }
    }
    Ok(())
}

fn summary(loaded: &Loaded, found: &BeamOutput) -> String {
    let best = found.sequences.first();
    let best = best.map_or("nothing possible".to_owned(), |best| {
        format!("best score {:.4} with {} tokens ({})", best.score, best.ids.len(), best.finish_reason)
    });
    format!(
        "glass: {} prompt tokens, searched {} tokens at {:.1}/s, {best}, {}",
        found.prompt_tokens,
        found.searched_tokens,
        speed(found),
        loaded.summary(),
    )
}

fn speed(found: &BeamOutput) -> f64 {
    found.searched_tokens as f64 / found.duration.as_secs_f64().max(1e-9)
}

fn report(loaded: &Loaded, found: &BeamOutput) -> Value {
    let sequence = |sequence: &Hypothesis| {
        json!({
            "ids": sequence.ids,
            "text": sequence.text,
            "score": sequence.score,
            "log_prob": sequence.log_prob,
            "finish_reason": sequence.finish_reason.to_string(),
        })
    };
    let mut report = json!({
        "sequences": found.sequences.iter().map(sequence).collect::<Vec<_>>(),
        "prompt_tokens": found.prompt_tokens,
        "searched_tokens": found.searched_tokens,
        "searched_tokens_per_second": speed(found),
        "interrupted": found.interrupted,
    });
    loaded.complete(&mut report);
    report
}
