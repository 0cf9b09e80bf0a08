//! What a model is called: `org/name` of the hub, and which GGUF file of it, if one is meant.

use glass_gguf::Gguf;

/// A repository, and what of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// `org/name`
    pub repository: &'a str,
    pub part: Part<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The model itself, however it is stored.
    Any,
    /// The GGUF file of this quantization: `org/name:Q4_K_M`.
    Quantization(&'a str),
    /// This GGUF file: `org/name/file.gguf`.
    File(&'a str),
}

impl<'a> Name<'a> {
    /// `None` if it is none: a path that starts with `/`, `./`, `../` or `~`, or of more than two parts, unless it leads to a
    /// GGUF file. The hub's own addresses may stand in front.
    pub fn parse(model: &'a str) -> Option<Self> {
        let address = model.strip_prefix("https://").unwrap_or(model);
        let model = ["huggingface.co/", "hf.co/"].iter().find_map(|host| address.strip_prefix(host)).unwrap_or(model);
        let (org, rest) = model.split_once('/')?;
        let (name, part) = match (rest.split_once('/'), rest.split_once(':')) {
            (Some((name, file)), _) => (name, Part::File(file)),
            (None, Some((name, quantization))) => (name, Part::Quantization(quantization)),
            (None, None) => (rest, Part::Any),
        };
        let is_part =
            |part: &str| is_safe(part) && part.len() <= 96 && !part.ends_with(['-', '.']) && !part.contains("--");
        let is_meant = match part {
            // Two parts are rather a file that is not there.
            Part::Any => !Gguf::is_name(name.as_ref()),
            Part::Quantization(quantization) => is_safe(quantization),
            Part::File(file) => Gguf::is_name(file.as_ref()) && is_safe_path(file),
        };
        let repository = &model[..org.len() + 1 + name.len()];
        (is_part(org) && is_part(name) && is_meant).then_some(Self { repository, part })
    }
}

/// Whether `part` can be a part of a git reference that is also safe as a file's name in the cache and in a URL.
pub fn is_safe(part: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let is_start = !part.is_empty() && !part.starts_with(['-', '.']);
    is_start && part.bytes().all(is_allowed) && !part.contains("..")
}

/// Whether all parts of a path are safe.
pub fn is_safe_path(path: &str) -> bool {
    path.split('/').all(is_safe)
}
