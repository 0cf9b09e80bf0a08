//! Do the values make a model?

use crate::layers::belong_to;
use crate::{FieldError, LlamaConfig};

/// More layers than any model has; a bound so that a slip in the file cannot ask for a list of a
/// billion entries.
const MOST_LAYERS: usize = 1 << 16;

/// `num_hidden_layers`, in bounds.
pub(crate) fn layer_count(layers: usize) -> Result<usize, FieldError> {
    if (1..=MOST_LAYERS).contains(&layers) {
        Ok(layers)
    } else {
        let rule = format!("must be from 1 to {MOST_LAYERS}");
        Err(FieldError::invalid("num_hidden_layers", layers, rule))
    }
}

impl LlamaConfig {
    /// Checks everything that a reader of this config may rely on: sizes are positive and multiply
    /// without overflow, heads divide, `head_dim` is even, numbers are finite and in range, there
    /// is one `layer_types` entry per layer, biases and windows are ones that the family has.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn validate(&self) -> Result<(), FieldError> {
        self.validate_sizes()?;
        self.validate_numbers()?;
        self.rope_parameters.validate(self.head_dim)?;
        self.validate_family()?;
        self.validate_products()
    }

    fn validate_sizes(&self) -> Result<(), FieldError> {
        layer_count(self.num_hidden_layers)?;
        for (field, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            if value == 0 {
                return Err(FieldError::invalid(field, 0, "must be at least 1"));
            }
        }
        if !self
            .num_attention_heads
            .is_multiple_of(self.num_key_value_heads)
        {
            let rule = format!(
                "must divide num_attention_heads ({}), for each serves equally many query heads",
                self.num_attention_heads
            );
            return Err(FieldError::invalid(
                "num_key_value_heads",
                self.num_key_value_heads,
                rule,
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            let rule = "must be even, for the rotation pairs the halves of a head";
            return Err(FieldError::invalid("head_dim", self.head_dim, rule));
        }
        Ok(())
    }

    fn validate_numbers(&self) -> Result<(), FieldError> {
        let eps = self.rms_norm_eps;
        if !(eps.is_finite() && eps > 0.0) {
            return Err(FieldError::invalid(
                "rms_norm_eps",
                eps,
                "must be a finite number above 0",
            ));
        }
        let range = self.initializer_range;
        if !(range.is_finite() && range >= 0.0) {
            let rule = "must be a finite number that is not negative";
            return Err(FieldError::invalid("initializer_range", range, rule));
        }
        if !(0.0..1.0).contains(&self.attention_dropout) {
            let rule = "must be a probability from 0 to below 1";
            return Err(FieldError::invalid(
                "attention_dropout",
                self.attention_dropout,
                rule,
            ));
        }
        Ok(())
    }

    fn validate_family(&self) -> Result<(), FieldError> {
        let family = self.model_type;
        if self.layer_types.len() != self.num_hidden_layers {
            let value = format!("{} entries", self.layer_types.len());
            let rule = format!(
                "must have one entry per layer, num_hidden_layers = {}",
                self.num_hidden_layers
            );
            return Err(FieldError::invalid("layer_types", value, rule));
        }
        if !belong_to(family, &self.layer_types) {
            let rule = format!(
                "{family} has none such: llama never slides, mistral in all layers or none"
            );
            return Err(FieldError::invalid("layer_types", "mixed", rule));
        }
        if !self.bias.belongs_to(family) {
            let rule = format!("{family} has none such: llama has q, k, v and o's or none of them");
            return Err(FieldError::invalid(
                "bias",
                format!("{:?}", self.bias),
                rule,
            ));
        }
        Ok(())
    }

    /// Every matrix, and all of them together, must be addressable in float64, so that no size
    /// computed from a valid config can overflow.
    fn validate_products(&self) -> Result<(), FieldError> {
        const MOST: usize = isize::MAX as usize / size_of::<f64>();
        let rule = "is too large for memory; is a size mistyped?";
        for (field, a, b) in [
            (
                "vocab_size * hidden_size",
                self.vocab_size,
                self.hidden_size,
            ),
            (
                "intermediate_size * hidden_size",
                self.intermediate_size,
                self.hidden_size,
            ),
            (
                "num_attention_heads * head_dim",
                self.num_attention_heads,
                self.head_dim,
            ),
            (
                "max_position_embeddings * head_dim",
                self.max_position_embeddings,
                self.head_dim,
            ),
        ] {
            if a.checked_mul(b).is_none_or(|product| product > MOST) {
                return Err(FieldError::invalid(field, format!("{a} * {b}"), rule));
            }
        }
        match self.checked_parameters() {
            Some(parameters) if parameters <= MOST => Ok(()),
            _ => Err(FieldError::invalid(
                "the number of parameters",
                "overflow",
                rule,
            )),
        }
    }
}
