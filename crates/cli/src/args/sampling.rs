//! How the next token is chosen.

use clap::Args;
use glass_generate::SequenceBias;

/// How the next token is chosen. What is not given comes from the model's generation_config.json, as in transformers.
#[derive(Debug, Args)]
pub struct Sampling {
    /// 0: always the most probable token; 1: the model's own distribution
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Only the K most probable tokens; 0: all [default when sampling: 50, as in transformers]
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Only the most probable tokens that make up this share; 1: all
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Only tokens at least this fraction as probable as the best; 0: all
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Only the most typical tokens that make up this share: those about as surprising as the mean; 1: all
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub typical_p: Option<f32>,
    /// Make tokens that are there already less probable; 1: do not
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,
    /// Take this off the logit of every token that has been generated; 0: do not
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub presence_penalty: Option<f32>,
    /// Take this off for each time that the token has been generated; 0: do not
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub frequency_penalty: Option<f32>,
    /// Let no sequence of N tokens occur twice, those of the prompt included; 0: do not
    #[arg(long, value_name = "N")]
    pub no_repeat_ngram_size: Option<usize>,
    /// Add BIAS to the logit of token ID, -inf to forbid it (repeatable)
    #[arg(long, value_name = "ID=BIAS", value_parser = parse_bias)]
    pub logit_bias: Vec<SequenceBias>,
    /// The same seed gives the same text on the same device [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

fn parse_bias(text: &str) -> Result<SequenceBias, String> {
    let (id, bias) = text
        .split_once('=')
        .ok_or("not of the form ID=BIAS, for instance 42=-1.5")?;
    let id = id
        .parse()
        .map_err(|_| format!("{id:?} is not a token id (a whole number from 0 on)"))?;
    let bias = match bias.parse::<f32>() {
        Ok(bias) if bias.is_finite() || bias == f32::NEG_INFINITY => bias,
        _ => {
            return Err(format!(
                "{bias:?} is not a finite number, or -inf to forbid the token"
            ));
        }
    };
    Ok(SequenceBias {
        ids: vec![id],
        bias,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn biases_are_numbers_for_ids() {
        let bias = |id, bias| SequenceBias {
            ids: vec![id],
            bias,
        };
        assert_eq!(parse_bias("7=-1.5"), Ok(bias(7, -1.5)));
        assert_eq!(parse_bias("0=-inf"), Ok(bias(0, f32::NEG_INFINITY)));
        for bad in [
            "", "7", "=1", "7=", "7=x", "-7=1", "7=inf", "7=nan", "7=1e39",
        ] {
            assert!(parse_bias(bad).is_err(), "{bad}");
        }
    }
}
