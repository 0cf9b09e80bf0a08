//! How the next token is chosen.

use clap::Args;
use glass_generate::{SamplingConfig, SamplingError, SequenceBias};

use super::{from_0, number, parse_id};

const SAMPLING: &str = "Sampling (by default as the model's generation_config.json says)";

/// How the next token is chosen. What is not given comes from the model's generation_config.json, as in transformers.
#[derive(Debug, Args)]
#[command(next_help_heading = SAMPLING)]
pub struct Sampling {
    /// Divide the logits by T; 0: always the most probable token
    ///
    /// 1 is the model's own distribution.
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = number::<f32>)]
    pub temperature: Option<f32>,
    /// Sample from the K most probable tokens; 0: all [default when sampling: 50, as in transformers]
    #[arg(long, value_name = "K", value_parser = from_0::<usize>)]
    pub top_k: Option<usize>,
    /// Sample from the most probable tokens whose probabilities sum to P; 1: all
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = number::<f32>)]
    pub top_p: Option<f32>,
    /// Sample from tokens at least P times as probable as the best; 0: all
    #[arg(hide_short_help = true, long, value_name = "P", allow_negative_numbers = true, value_parser = number::<f32>)]
    pub min_p: Option<f32>,
    /// Sample from the most typical tokens whose probabilities sum to P; 1: all
    ///
    /// A token is typical if its surprise is close to the entropy of the distribution.
    #[arg(hide_short_help = true, long, value_name = "P", allow_negative_numbers = true, value_parser = number::<f32>)]
    pub typical_p: Option<f32>,
    #[command(flatten)]
    pub rules: Rules,
    /// Random seed: the same seed gives the same text on the same device [default: 0]
    #[arg(help_heading = SAMPLING, long, value_name = "N", value_parser = from_0::<u64>)]
    pub seed: Option<u64>,
}

/// What changes the logits without chance: penalties and biases.
#[derive(Debug, Args)]
#[group(id = "Rules", multiple = true)]
#[command(next_help_heading = "Penalties and biases")]
pub struct Rules {
    /// Make tokens of the prompt and the text less probable; 1: off
    ///
    /// Their positive logits are divided by X, and their negative ones multiplied by it.
    #[arg(hide_short_help = true, long, value_name = "X", allow_negative_numbers = true, value_parser = number::<f32>)]
    pub repetition_penalty: Option<f32>,
    /// Subtract X from the logit of every generated token; 0: off
    #[arg(hide_short_help = true, long, value_name = "X", allow_negative_numbers = true, value_parser = number::<f32>)]
    pub presence_penalty: Option<f32>,
    /// Subtract X from the logit of a token for each time it was generated; 0: off
    #[arg(hide_short_help = true, long, value_name = "X", allow_negative_numbers = true, value_parser = number::<f32>)]
    pub frequency_penalty: Option<f32>,
    /// Let no n-gram of N tokens occur twice, those of the prompt included; 0: off
    #[arg(hide_short_help = true, long, value_name = "N", value_parser = from_0::<usize>)]
    pub no_repeat_ngram_size: Option<usize>,
    /// Add BIAS to the logit of token ID, -inf to forbid it (repeatable)
    #[arg(hide_short_help = true, long, value_name = "ID=BIAS", value_parser = parse_bias)]
    pub logit_bias: Vec<SequenceBias>,
}

impl Sampling {
    /// These options in place of those of `config`; biases are added to those there.
    pub fn over(&self, config: SamplingConfig) -> SamplingConfig {
        SamplingConfig {
            temperature: self.temperature.unwrap_or(config.temperature),
            top_k: self.top_k.unwrap_or(config.top_k),
            top_p: self.top_p.unwrap_or(config.top_p),
            min_p: self.min_p.unwrap_or(config.min_p),
            typical_p: self.typical_p.unwrap_or(config.typical_p),
            seed: self.seed.unwrap_or(config.seed),
            ..self.rules.over(config)
        }
    }

    /// Whether there is an option that only matters where tokens are drawn.
    pub fn asks_for_chance(&self) -> bool {
        self.top_k.is_some() || self.top_p.is_some() || self.min_p.is_some() || self.typical_p.is_some()
    }

    /// What can be told before a model is loaded.
    ///
    /// # Errors
    /// An option out of its range.
    pub fn validate(&self) -> Result<(), SamplingError> {
        self.rules.check_biases()?;
        self.over(SamplingConfig::default()).validate()
    }
}

impl Rules {
    /// These options in place of those of `config`; biases are added to those there.
    pub fn over(&self, config: SamplingConfig) -> SamplingConfig {
        SamplingConfig {
            repetition_penalty: self.repetition_penalty.unwrap_or(config.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(config.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(config.frequency_penalty),
            no_repeat_ngram_size: self.no_repeat_ngram_size.unwrap_or(config.no_repeat_ngram_size),
            sequence_bias: [&config.sequence_bias[..], &self.logit_bias].concat(),
            ..config
        }
    }

    /// # Errors
    /// Two biases for one token.
    pub fn check_biases(&self) -> Result<(), SamplingError> {
        SequenceBias::check_distinct(&self.logit_bias)
    }
}

fn parse_bias(text: &str) -> Result<SequenceBias, String> {
    let (id, bias) = text.split_once('=').ok_or("not of the form ID=BIAS, for instance 42=-1.5")?;
    let id = parse_id(id)?;
    let bias = match bias.parse::<f32>() {
        Ok(bias) if bias.is_finite() || bias == f32::NEG_INFINITY => bias,
        _ => {
            return Err(format!("{bias:?} is not a finite number, or -inf to forbid the token"));
        }
    };
    Ok(SequenceBias { ids: vec![id], bias })
}
