//! How texts are generated: what the command line says, over what the model's generation_config.json says.

use glass_generate::{GenerateOptions, GenerationConfig, Llama, PrefillOptions, SamplingConfig};
use glass_kv_cache::KvDtype;

use crate::{args, error::CliError, say::warn};

/// The limit where neither the command line nor generation_config.json has one.
const MAX_NEW_TOKENS: usize = 256;

/// The options of texts of which the longest known prompt has `prompt` tokens. Their limit of new tokens is open: see
/// [`max_new_tokens`].
pub fn decoding(args: &args::Decoding, llama: &Llama, prompt: usize) -> Result<GenerateOptions, CliError> {
    Ok(GenerateOptions {
        stop_strings: stop_strings(&args.stop, llama)?,
        prefill: prefill(&args.cache, llama, prompt)?,
        sampling: sampling(&args.sampling, llama)?,
        eos_ids: eos_ids(&args.length, llama)?,
        logprobs: args.logprobs,
        ..GenerateOptions::new(0)
    })
}

/// How many tokens may follow a prompt of `prompt` tokens, and a warning where that is more than the context holds, or
/// nothing at all.
///
/// # Errors
/// The context does not even hold the prompt, or generation_config.json has no number where it is asked for one.
pub fn max_new_tokens(args: &args::Length, llama: &Llama, prompt: usize) -> Result<(usize, Option<String>), CliError> {
    let room = llama.room(prompt)?;
    if args.max_new_tokens.is_none() {
        llama.generation_config.check(&["max_new_tokens", "max_length"])?;
    }
    let limit = args.max_new_tokens.unwrap_or_else(|| {
        let config = &llama.generation_config;
        // max_length counts the prompt too.
        let rest = config.max_length.map(|all| all.saturating_sub(prompt));
        let new = config.max_new_tokens.or(rest);
        new.unwrap_or(MAX_NEW_TOKENS).min(room)
    });
    let warning = if limit > room {
        Some(format!(
            "the model's context of {} tokens has room for {room} new ones, and what comes after them may be noise",
            llama.config.context()
        ))
    } else if limit == 0 && args.max_new_tokens.is_none() {
        let nothing = "generation_config.json allows no new tokens after this prompt: --max-new-tokens does";
        Some(nothing.to_owned())
    } else {
        None
    };
    Ok((limit, warning))
}

/// # Errors
/// generation_config.json has something else for ids.
pub fn eos_ids(args: &args::Length, llama: &Llama) -> Result<Vec<u32>, CliError> {
    if args.ignore_eos {
        return Ok(vec![]);
    }
    llama.generation_config.check(&["eos_token_id"])?;
    Ok(llama.eos_ids())
}

/// The strings of generation_config.json and those of the command line.
///
/// # Errors
/// There is no tokenizer: stop strings are looked for in the text. Or those of generation_config.json are none.
fn stop_strings(args: &[String], llama: &Llama) -> Result<Vec<String>, CliError> {
    llama.generation_config.check(&["stop_strings"])?;
    let config = &llama.generation_config.stop_strings;
    if llama.tokenizer.is_none() {
        if !args.is_empty() {
            return Err(CliError::Usage(format!(
                "--stop watches the text, and {} has no tokenizer.json that would make ids text: leave it out",
                llama.folder.display()
            )));
        }
        if !config.is_empty() {
            warn([
                "generation_config.json: stop_strings is ignored: there is no tokenizer.json that would make ids text",
            ]);
        }
    }
    Ok([config, args].concat())
}

/// How a text of `tokens` tokens is read and cached; a policy that changes the model's results is warned of.
///
/// # Errors
/// The policy does not fit the model.
pub fn prefill(args: &args::Cache, llama: &Llama, tokens: usize) -> Result<PrefillOptions, CliError> {
    let mut cache = args.policy.unwrap_or_default();
    if let (Some(option), Some(policy)) = (args.cache_dtype, cache.dtype)
        && option != policy
    {
        return Err(CliError::Usage(format!(
            "--cache-dtype {option} and --cache dtype={policy} are two answers to one question: leave one out"
        )));
    }
    cache.dtype = args.cache_dtype.or(cache.dtype);
    cache.check(&llama.config)?;
    if let Some(KvDtype::Float(dtype)) = cache.dtype {
        llama.device.check_dtype(dtype).map_err(|_| {
            let name = llama.device.name();
            let types: Vec<String> = llama.device.dtypes().iter().map(ToString::to_string).collect();
            CliError::Usage(format!(
                "keys and values in {dtype} (--cache-dtype): device {name} keeps {} or q8",
                types.join(", ")
            ))
        })?;
    }
    if !cache.is_exact(&llama.config) {
        warn([format!(
            "with --cache {cache} layers forget what the config says they see: the model's results are not its own"
        )]);
    }
    if args.prefill_chunk.is_some_and(|chunk| chunk.get() < tokens)
        && let Some(rope) = llama.config.rope_by_length(tokens)
    {
        warn([format!(
            "--prefill-chunk without effect: rope type {} turns {tokens} tokens by angles of their own, in one pass",
            rope.scaling.name()
        )]);
    }
    Ok(PrefillOptions { cache, prefill_chunk: args.prefill_chunk.unwrap_or(PrefillOptions::default().prefill_chunk) })
}

/// How tokens are chosen; options without effect are warned of.
///
/// # Errors
/// A bias for a token that the vocabulary does not have; a value of generation_config.json that is used and means nothing.
pub fn sampling(args: &args::Sampling, llama: &Llama) -> Result<SamplingConfig, CliError> {
    sampling_over(args, llama.generation_config.clone(), llama)
}

/// As [`sampling`], over values that are not quite those of the model's file.
///
/// # Errors
/// As [`sampling`].
pub fn sampling_over(
    args: &args::Sampling,
    mut config: GenerationConfig,
    llama: &Llama,
) -> Result<SamplingConfig, CliError> {
    if let Some(temperature) = args.temperature {
        // A temperature asks for sampling, and 0 for none; the other numbers of the file then hold as they would there.
        config.do_sample = Some(true);
        config.temperature = Some(temperature);
    } else if args.asks_for_chance() {
        config.do_sample = Some(true);
    }
    let sampling = args.over(config.sampling(0));
    config.check(&used(args, &config, sampling.is_greedy()))?;
    sampling.check_vocabulary(llama.config.vocab_size)?;
    if sampling.is_greedy() {
        let given = [
            ("--top-k", args.top_k.is_some()),
            ("--top-p", args.top_p.is_some()),
            ("--min-p", args.min_p.is_some()),
            ("--typical-p", args.typical_p.is_some()),
            ("--seed", args.seed.is_some()),
        ];
        let given: Vec<_> = given.into_iter().filter_map(|(name, given)| given.then_some(name)).collect();
        if !given.is_empty() {
            warn([format!(
                "{} without effect: the most probable token is taken always (--temperature 1 samples)",
                given.join(", ")
            )]);
        }
    }
    Ok(sampling)
}

/// The fields of generation_config.json that choose tokens: the command line does not say otherwise.
fn used(args: &args::Sampling, config: &GenerationConfig, greedy: bool) -> Vec<&'static str> {
    let sampled = |overridden: bool| greedy || overridden;
    let unused = [
        ("do_sample", config.do_sample.is_some()),
        ("repetition_penalty", args.rules.repetition_penalty.is_some()),
        ("no_repeat_ngram_size", args.rules.no_repeat_ngram_size.is_some()),
        ("sequence_bias", false),
        ("temperature", sampled(args.temperature.is_some())),
        ("top_k", sampled(args.top_k.is_some())),
        ("top_p", sampled(args.top_p.is_some())),
        ("min_p", sampled(args.min_p.is_some())),
        ("typical_p", sampled(args.typical_p.is_some())),
    ];
    unused.into_iter().filter_map(|(field, unused)| (!unused).then_some(field)).collect()
}
