//! One dialect: a version-4 file becomes what transformers 5 would have written.
//!
//! | version 4 | version 5 |
//! |---|---|
//! | `rope_theta`, `rope_scaling {type, ...}` | `rope_parameters {rope_theta, rope_type, ...}` |
//! | `original_max_position_embeddings` beside them (Phi-3's habit) | inside `rope_parameters` |
//! | `torch_dtype` | `dtype` |
//!
//! | `partial_rotary_factor` beside them | inside `rope_parameters` |
//! | a family's own name of a field | Llama's |
//! | a model of text and images: the text's in `text_config` | that alone |
//!
//! What a family's class does not read of all this is left out first (`unread.rs`).
//!
//! A file may hold both spellings (converters write both). transformers then silently prefers one;
//! here they must agree, but for the dtype, which decides nothing.

mod unread;

use serde_json::{Map, Value};

use crate::error::{Checked, FieldError, shown};
use crate::families::ModelType;
use crate::fields::{IgnoredField, empty};
use crate::rope::SLIDING_THETA;

pub(crate) const ROPE: &str = "rope_parameters";
pub(crate) const OLD_ROPE: &str = "rope_scaling";
/// Phi-3 has it beside them.
pub(crate) const ORIGINAL: &str = "original_max_position_embeddings";
/// Of a model of text and images, the outer one counts.
const TIE: &str = "tie_word_embeddings";

/// A config in version 5's dialect.
pub(crate) struct Normalised {
    /// Everything but `rope_parameters`.
    pub top: Map<String, Value>,
    pub rope: Map<String, Value>,
    /// Whether the file says nothing of `rope_parameters`, so that the family's own hold.
    pub rope_absent: bool,
    /// What the family's class does not read of the file, under the file's names.
    pub unread: Vec<IgnoredField>,
    /// Whether all this is the file's `text_config`.
    wrapped: bool,
    /// The family's own names.
    pub renamed: Renamed,
    /// Version 5's name and the file's, for what the file spells otherwise. Nested fields first.
    old_names: Vec<(String, &'static str)>,
}

impl Normalised {
    /// # Errors
    /// Two spellings that contradict each other, or a rope field that is no object.
    pub fn new(top: Map<String, Value>) -> Checked<Self> {
        let (mut top, wrapped, outer) = unwrap(top);
        let family = top.get("model_type").and_then(ModelType::RULE.1);
        let renamed = family.map_or(&[][..], |family| family.family().renamed);
        let mut unread = family.map_or(Vec::new(), |family| unread::take(&mut top, family));
        unread.extend(outer);
        for field in unread.iter_mut().filter(|_| wrapped) {
            field.name.insert_str(0, INNER);
        }
        Ok(Self { wrapped, unread, ..Self::of(top, renamed)? })
    }

    /// The same of fields that go into a file whose family calls some fields otherwise.
    pub fn of(mut top: Map<String, Value>, renamed: Renamed) -> Checked<Self> {
        let mut old_names = Vec::new();
        for &(old, name) in renamed {
            let value = top.shift_remove(old);
            if merge(&mut top, (name, name), (old, value))? {
                old_names.push((name.to_owned(), old));
            }
        }
        for name in ["dtype", "torch_dtype"] {
            if let Some(Value::String(dtype)) = top.get_mut(name) {
                // Some writers leave PyTorch's module in.
                *dtype = dtype.trim_start_matches("torch.").to_owned();
            }
        }
        // They decide nothing: where they differ, the new one counts, and the old one is told of as unused.
        let dtype = top.get("dtype").filter(|dtype| !dtype.is_null());
        if dtype.is_none_or(|dtype| top.get("torch_dtype").is_none_or(|old| old.is_null() || dtype == old))
            && let Some(old) = top.shift_remove("torch_dtype")
            && merge(&mut top, ("dtype", "dtype"), ("torch_dtype", Some(old)))?
        {
            old_names.push(("dtype".to_owned(), "torch_dtype"));
        }

        let rope_absent = says_nothing(&top);
        let (new, old) = (rope_object(&mut top, ROPE)?, rope_object(&mut top, OLD_ROPE)?);
        // θ is in the one and beside the other.
        let differ = |a: &Map<_, _>, b: &Map<_, _>| {
            a.iter().any(|(name, value)| match b.get(name) {
                Some(other) => !equal(value, other),
                None => name != "rope_theta",
            })
        };
        let is_double = !new.is_empty() && !old.is_empty();
        if is_double && (differ(&new, &old) || differ(&old, &new)) {
            let (new, old) = (shown(&new.into()), shown(&old.into()));
            return Err(FieldError::contradiction((ROPE, new), (OLD_ROPE, old)));
        }
        let nested = if new.is_empty() && !old.is_empty() { OLD_ROPE } else { ROPE };
        let mut rope = old;
        rope.extend(new);
        for name in ["rope_theta", ORIGINAL, "partial_rotary_factor", SLIDING_THETA] {
            let beside = top.shift_remove(name);
            let nested = format!("{nested}.{name}");
            if merge(&mut rope, (name, &nested), (name, beside))? {
                old_names.push((format!("{ROPE}.{name}"), name));
            }
        }
        old_names.push((ROPE.to_owned(), nested));
        Ok(Self { top, rope, rope_absent, unread: Vec::new(), wrapped: false, renamed, old_names })
    }

    /// The file's name for a field of the version-5 dialect.
    pub fn name_in_file(&self, field: &str) -> String {
        let mut names = self.old_names.iter();
        let renamed = names.find_map(|(new, old)| {
            let rest = field.strip_prefix(new.as_str())?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{old}{rest}"))
        });
        let name = renamed.unwrap_or_else(|| field.to_owned());
        if self.wrapped { format!("{INNER}{name}") } else { name }
    }
}

/// Whether a file has no object of RoPE, in neither dialect. transformers takes `rope_scaling` for absent where it is null
/// or empty.
fn says_nothing(top: &Map<String, Value>) -> bool {
    top.get(ROPE).is_none_or(Value::is_null) && top.get(OLD_ROPE).is_none_or(|old| old.is_null() || empty(old, &()))
}

/// Names of a family's files, and Llama's.
type Renamed = &'static [(&'static str, &'static str)];

/// The models that hold one of text beside one of images, and what the text's is if it does not say.
const WRAPPERS: [(&str, &str); 2] = [("gemma3", "gemma3_text"), ("mistral3", "mistral")];

/// Stands before the names of what the file has in `text_config`.
const INNER: &str = "text_config.";

/// The text's part of a model of text and images, with what is said outside for all of it; whether it was one; and what
/// of the part is not read.
fn unwrap(mut top: Map<String, Value>) -> (Map<String, Value>, bool, Option<IgnoredField>) {
    let wrapper = WRAPPERS.iter().find(|(name, _)| top.get("model_type").is_some_and(|model_type| model_type == name));
    match (wrapper, top.shift_remove("text_config")) {
        (Some((_, text)), Some(Value::Object(mut inner))) => {
            inner.entry("model_type").or_insert_with(|| (*text).into());
            for name in OUTSIDE {
                if let (Some(value), false) = (top.shift_remove(*name), inner.contains_key(*name)) {
                    inner.insert((*name).to_owned(), value);
                }
            }
            // The head is the outer model's, and so is whether it is the embedding.
            let tied = top.shift_remove(TIE).unwrap_or(true.into());
            let why = "whether the head is tied is said outside of text_config, and it is where nothing is said";
            let unread = inner.insert(TIE.to_owned(), tied.clone()).filter(|own| *own != tied);
            let value = unread.map(|own| glass_json::shown(&own));
            (inner, true, value.map(|value| IgnoredField { name: TIE.to_owned(), value, why: why.to_owned() }))
        }
        (_, Some(inner)) => {
            top.insert("text_config".to_owned(), inner);
            (top, false, None)
        }
        (_, None) => (top, false, None),
    }
}

/// What such a file may say for both of its models.
#[rustfmt::skip]
const OUTSIDE: &[&str] = &[
    "dtype", "torch_dtype", "bos_token_id", "eos_token_id", "pad_token_id", "quantization_config",
    "initializer_range", "architectures", "transformers_version",
];

/// Puts `old`, the value of an older spelling, into `object` under the new one, and says whether it did. Where both
/// have a value they must agree.
fn merge(
    object: &mut Map<String, Value>,
    (name, full_name): (&str, &str),
    (old_name, old): (&str, Option<Value>),
) -> Checked<bool> {
    let Some(old) = old else { return Ok(false) };
    match object.get(name) {
        None | Some(Value::Null) => {
            object.insert(name.to_owned(), old);
            Ok(true)
        }
        Some(new) if old.is_null() || equal(new, &old) => Ok(false),
        Some(new) => {
            let (new, old) = (shown(new), shown(&old));
            Err(FieldError::contradiction((full_name, new), (old_name, old)))
        }
    }
}

/// Takes the rope object `field` out of `top`, its old key `type` renamed. Null is an empty one, which transformers
/// takes as not given.
fn rope_object(top: &mut Map<String, Value>, field: &str) -> Checked<Map<String, Value>> {
    let mut object = match top.shift_remove(field) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(object)) => object,
        Some(other) => {
            let rule = "must be an object {...} or null";
            return Err(FieldError::invalid(field, shown(&other), rule));
        }
    };
    let kinds = object.iter_mut().filter_map(|(kind, value)| Some((format!("{field}.{kind}"), value.as_object_mut()?)));
    for (field, object) in kinds {
        type_as_rope_type(object, &field)?;
    }
    type_as_rope_type(&mut object, field)?;
    Ok(object)
}

fn type_as_rope_type(object: &mut Map<String, Value>, field: &str) -> Checked<()> {
    let (new, old) = (format!("{field}.rope_type"), format!("{field}.type"));
    let value = object.shift_remove("type");
    merge(object, ("rope_type", &new), (&old, value)).map(drop)
}

/// Equality in which 8 is 8.0, as in Python.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}
