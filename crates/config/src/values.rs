//! The types that a field can have, each with the rule that its values keep.

use std::num::NonZeroUsize;

use serde_json::{Map, Value};

use crate::error::{Checked, FieldError, shown};

/// What a field's value must be, as errors show it, and how such a value is read. `None` breaks the rule.
pub(crate) struct Rule<T>(pub &'static str, pub fn(&Value) -> Option<T>);

impl<T> Rule<T> {
    pub fn read(&self, field: &str, value: &Value) -> Checked<T> {
        let Self(rule, read) = self;
        let fix = if value.is_null() { "; remove the field to get its default" } else { "" };
        read(value).ok_or_else(|| FieldError::invalid(field, shown(value), format!("{rule}{fix}")))
    }
}

pub(crate) const ANY: Rule<Value> = Rule("", |value| Some(value.clone()));
pub(crate) const LIST: Rule<Vec<Value>> = Rule("must be a list", |value| value.as_array().cloned());
pub(crate) const OBJECT: Rule<Map<String, Value>> = Rule("must be an object", |value| value.as_object().cloned());
pub(crate) const SWITCH: Rule<bool> = Rule("must be true or false", Value::as_bool);
pub(crate) const TEXT: Rule<String> = Rule("must be a string", |value| value.as_str().map(str::to_owned));

pub(crate) const COUNT: Rule<usize> =
    Rule("must be a whole number (without fraction or exponent) of at least 0", |value| {
        value.as_u64()?.try_into().ok()
    });
pub(crate) const SIZE: Rule<usize> =
    Rule("must be a whole number (without fraction or exponent) of at least 1", |value| {
        COUNT.1(value).filter(|&size| size >= 1)
    });
/// No model has more layers, and a slip must not ask for a list of a billion.
pub(crate) const LAYERS: Rule<usize> = Rule("must be a whole number from 1 to 65536", |value| {
    COUNT.1(value).filter(|layers| (1..=1 << 16).contains(layers))
});
pub(crate) const WINDOW: Rule<NonZeroUsize> =
    Rule("must be a whole number of at least 1, for a query always sees its own key; null means no window", |value| {
        COUNT.1(value).and_then(NonZeroUsize::new)
    });
/// A negative id is the old way to write that there is none.
pub(crate) const TOKEN_ID: Rule<Option<u32>> =
    Rule("must be a token id, a whole number below 2^32", |value| match value.as_i64()? {
        ..0 => Some(None),
        id => u32::try_from(id).ok().map(Some),
    });

// Numbers in JSON are finite.
pub(crate) const POSITIVE: Rule<f64> =
    Rule("must be a finite number above 0", |value| value.as_f64().filter(|&x| x > 0.0));
pub(crate) const NOT_NEGATIVE: Rule<f64> =
    Rule("must be a number that is not negative", |value| value.as_f64().filter(|&x| x >= 0.0));
pub(crate) const PROBABILITY: Rule<f64> =
    Rule("must be a probability from 0 to below 1", |value| value.as_f64().filter(|x| (0.0..1.0).contains(x)));

/// Enums whose values are words: their rule, and how they are written. Of several words for one value, the first.
macro_rules! words {
    ($type:ident, $rule:expr, $($value:ident = $word:literal $(| $alias:literal)*),*) => {
        impl $type {
            pub(crate) const RULE: $crate::values::Rule<Self> =
                $crate::values::Rule($rule, |value| match value.as_str()? {
                    $($word $(| $alias)* => Some(Self::$value),)*
                    _ => None,
                });
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$value => $word),* })
            }
        }
    };
}
pub(crate) use words;

/// The activation in the MLP, between the gate and the product with the up projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x · sigmoid(x); Hugging Face's `silu`, also called `swish`.
    Silu,
    /// x · Φ(x) with the exact error function; `gelu`.
    Gelu,
    /// GELU by its tanh approximation; `gelu_pytorch_tanh` or `gelu_new`.
    GeluTanh,
    /// max(x, 0); `relu`.
    Relu,
    /// max(x, 0)^2; `relu2` (Primer, arXiv:2109.08668).
    Relu2,
    /// Above 0: a · x^2 + beta · x; else b · (exp(min(x, eps)) - 1 - x) + beta · x. a = softplus(`alpha_p`) and
    /// b = beta + softplus(`alpha_n`) are learned, each `[1]`; `beta` and `eps`, of shape `[]`, are not; all are in the
    /// files, under `act_fn` of the MLP. `xielu` (arXiv:2411.13010).
    Xielu,
}

words! {
    Activation, "must be one of silu (or swish), gelu, gelu_pytorch_tanh (or gelu_new), relu, relu2, xielu",
    Silu = "silu" | "swish", Gelu = "gelu", GeluTanh = "gelu_pytorch_tanh" | "gelu_new", Relu = "relu",
    Relu2 = "relu2", Xielu = "xielu"
}

/// The number format that the checkpoint says its weights have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    Float32,
    Float16,
    BFloat16,
}

words! {
    Dtype, "must be one of float32, float16, bfloat16",
    Float32 = "float32" | "float", Float16 = "float16" | "half", BFloat16 = "bfloat16"
}
