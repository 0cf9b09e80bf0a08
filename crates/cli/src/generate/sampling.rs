//! How the next token is chosen: what the user says, over what the model's makers say.

use glass_generate::{Llama, SamplingConfig};

use crate::{args, load};

/// Options that only matter where tokens are drawn.
pub fn warn_of_chance_without_effect(args: &args::Sampling, sampling: &SamplingConfig) {
    if sampling.is_greedy() {
        let given = [
            ("--top-k", args.top_k.is_some()),
            ("--top-p", args.top_p.is_some()),
            ("--min-p", args.min_p.is_some()),
            ("--typical-p", args.typical_p.is_some()),
            ("--seed", args.seed.is_some()),
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
}

/// What the user says, over what the model's makers say.
pub fn sampling(llama: &Llama, args: &args::Sampling) -> SamplingConfig {
    let mut theirs = llama.generation_config.clone();
    if let Some(temperature) = args.temperature {
        // A temperature asks for sampling, and 0 for none; the makers' other numbers then hold as they would there.
        theirs.do_sample = Some(temperature != 0.0);
        theirs.temperature = Some(temperature);
    } else if [args.top_p, args.min_p, args.typical_p]
        .iter()
        .any(Option::is_some)
        || args.top_k.is_some()
    {
        theirs.do_sample = Some(true);
    }
    overlay(args, theirs.sampling(0))
}

/// `under`, wherever the user says nothing; biases are added to those there.
pub fn overlay(args: &args::Sampling, under: SamplingConfig) -> SamplingConfig {
    SamplingConfig {
        temperature: args.temperature.unwrap_or(under.temperature),
        top_k: args.top_k.unwrap_or(under.top_k),
        top_p: args.top_p.unwrap_or(under.top_p),
        min_p: args.min_p.unwrap_or(under.min_p),
        repetition_penalty: args.repetition_penalty.unwrap_or(under.repetition_penalty),
        typical_p: args.typical_p.unwrap_or(under.typical_p),
        presence_penalty: args.presence_penalty.unwrap_or(under.presence_penalty),
        frequency_penalty: args.frequency_penalty.unwrap_or(under.frequency_penalty),
        no_repeat_ngram_size: args
            .no_repeat_ngram_size
            .unwrap_or(under.no_repeat_ngram_size),
        sequence_bias: [under.sequence_bias, args.logit_bias.clone()].concat(),
        seed: args.seed.unwrap_or(under.seed),
    }
}
