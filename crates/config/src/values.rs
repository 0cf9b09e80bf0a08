//! The types that a field can have, each with the rule that its values keep.

use std::num::NonZeroUsize;

use serde_json::Value;

use crate::error::{FieldError, shown};

/// A type that a field can have.
pub(crate) trait FromJson: Sized {
    /// # Errors
    /// `value`, which is that of `field`, breaks the type's rule.
    fn from_json(field: &str, value: &Value) -> Result<Self, FieldError>;
}

/// Types with the rule that an error shows, and how a value that keeps it is read.
macro_rules! rules {
    ($($type:ty: $rule:expr, $read:expr;)*) => {$(
        impl $crate::values::FromJson for $type {
            fn from_json(field: &str, value: &serde_json::Value) -> Result<Self, $crate::FieldError> {
                let read: fn(&serde_json::Value) -> Option<Self> = $read;
                read(value).ok_or_else(|| $crate::values::broken(field, value, $rule))
            }
        }
    )*};
}
pub(crate) use rules;

/// Enums whose values are words. Of several words for one value, the first is written.
macro_rules! words {
    ($type:ty: $rule:expr, $($value:ident = $word:literal $(| $alias:literal)*),*) => {
        $crate::values::rules! {
            $type: $rule, |value| match value.as_str()? {
                $($word $(| $alias)* => Some(Self::$value),)*
                _ => None,
            };
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$value => $word),* })
            }
        }
    };
}
pub(crate) use words;

/// New types around another, with their rule and how the inner value is read.
macro_rules! types {
    ($($(#[$doc:meta])* $name:ident($inner:ty): $rule:expr, $read:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name(pub $inner);

        $crate::values::rules! {
            $name: $rule, |value| {
                let read: fn(&Value) -> Option<$inner> = $read;
                read(value).map(Self)
            };
        }
    )*};
}
pub(crate) use types;

#[rustfmt::skip]
rules! {
    bool: "must be true or false", Value::as_bool;
    usize: "must be a whole number (without fraction or exponent) of at least 0", size;
    String: "must be a string", |value| value.as_str().map(str::to_owned);
    Value: "", |value| Some(value.clone());
}

// Numbers in JSON are finite.
#[rustfmt::skip]
types! {
    Size(usize): "must be a whole number (without fraction or exponent) of at least 1",
        |value| size(value).filter(|&size| size >= 1);
    /// More are no model's, and a slip must not ask for a list of a billion entries.
    LayerCount(usize): "must be a whole number from 1 to 65536",
        |value| size(value).filter(|count| (1..=1 << 16).contains(count));
    /// How many keys a query sees.
    Window(NonZeroUsize): "must be a whole number of at least 1, for a query always sees its own key; null means no window",
        |value| size(value).and_then(NonZeroUsize::new);
    /// Where negative, the old way to write that there is none.
    TokenId(Option<u32>): "must be a token id, a whole number below 2^32", |value| match value.as_i64()? {
        ..0 => Some(None),
        id => u32::try_from(id).ok().map(Some),
    };
    Positive(f64): "must be a number above 0", |value| value.as_f64().filter(|&x| x > 0.0);
    NotNegative(f64): "must be a number that is not negative", |value| value.as_f64().filter(|&x| x >= 0.0);
    Probability(f64): "must be a probability from 0 to below 1",
        |value| value.as_f64().filter(|x| (0.0..1.0).contains(x));
    /// The base of RoPE; the reference computes angles in float32.
    Theta(f64): "must be a number above 0 that float32 can hold",
        |value| value.as_f64().filter(|&x| x > 0.0 && x <= f64::from(f32::MAX));
    /// How many times longer a context is made.
    Stretch(f64): "must be a number of at least 1, for scaling lengthens the context",
        |value| value.as_f64().filter(|&x| x >= 1.0);
}

fn size(value: &Value) -> Option<usize> {
    value.as_u64()?.try_into().ok()
}

pub(crate) fn broken(field: &str, value: &Value, rule: &str) -> FieldError {
    let fix = if value.is_null() {
        "; remove the field to get its default"
    } else {
        ""
    };
    FieldError::invalid(field, shown(value), format!("{rule}{fix}"))
}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(field: &str, value: &Value) -> Result<Self, FieldError> {
        let given = (!value.is_null()).then(|| T::from_json(field, value));
        given.transpose()
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(field: &str, value: &Value) -> Result<Self, FieldError> {
        let list = value.as_array();
        let list = list.ok_or_else(|| broken(field, value, "must be a list"))?;
        let list = list.iter().enumerate();
        list.map(|(i, value)| T::from_json(&format!("{field}[{i}]"), value))
            .collect()
    }
}

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
}

words! {
    Activation: "must be one of silu (or swish), gelu, gelu_pytorch_tanh (or gelu_new), relu",
    Silu = "silu" | "swish", Gelu = "gelu", GeluTanh = "gelu_pytorch_tanh" | "gelu_new", Relu = "relu"
}

/// The number format that the checkpoint says its weights have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    Float32,
    Float16,
    BFloat16,
}

words! {
    Dtype: "must be one of float32, float16, bfloat16",
    Float32 = "float32" | "float", Float16 = "float16" | "half", BFloat16 = "bfloat16"
}
