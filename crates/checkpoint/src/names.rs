//! How the names in the files become those of the model: the one place that knows what others put in front of them.
//!
//! A file's name goes through two steps. What training wraps modules in is taken out of it, wherever it stands. Then what
//! all names of the base model have in front (`_orig_mod.model.`, `language_model.model.`, nothing) becomes `model.`, and
//! what the head has in front goes. A step that would be a guess is not done: the names stay, and the error shows them.

use std::collections::{BTreeMap, BTreeSet};

/// Modules around a module: of `torch.compile`, FSDP, activation checkpointing and PEFT.
const WRAPPERS: [&str; 4] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer"];

/// The base model: what holds the embedding and the layers.
const BASE: &str = "model.";
const EMBEDDING: &str = "embed_tokens.";
const LAYER: &str = "layers.0.";
const HEAD: &str = "lm_head.";

/// The model's names for the tensors in the files, and the way back.
#[derive(Debug, Clone, Default)]
pub struct Names {
    in_files: BTreeMap<String, String>,
    in_model: BTreeMap<String, String>,
}

impl Names {
    /// Reads the names of all tensors. Where the head is `tied` and the files hold the head alone, it is the embedding.
    pub fn find<'a>(files: impl Iterator<Item = &'a str>, tied: bool) -> Self {
        let bare: Vec<(&str, String)> = files.map(|name| (name, unwrapped(name))).collect();
        let base = base_prefix(&bare);
        let head = single(bare.iter().filter_map(|(_, name)| before(name, HEAD)), "");
        let has_embedding = bare.iter().any(|(_, name)| before(name, EMBEDDING).is_some());
        let mut names = Self::default();
        let model_name = |bare: &str| {
            if let Some(rest) = head.and_then(|head| bare.strip_prefix(head)?.strip_prefix(HEAD)) {
                let is_embedding = tied && !has_embedding;
                return if is_embedding { format!("{BASE}{EMBEDDING}{rest}") } else { format!("{HEAD}{rest}") };
            }
            match base.and_then(|base| bare.strip_prefix(base)) {
                Some(rest) => format!("{BASE}{rest}"),
                None => bare.to_owned(),
            }
        };
        let mut pairs: Vec<(&str, String)> = bare.iter().map(|(file, bare)| (*file, model_name(bare))).collect();
        // A name that is the model's already has the first claim to it.
        pairs.sort_by_key(|(file, model)| file != model);
        for (file, model) in pairs {
            // Of two tensors for one weight, the second stays what it is in the file, and no weight.
            let model = if names.in_files.contains_key(&model) { file.to_owned() } else { model };
            names.in_files.insert(model.clone(), file.to_owned());
            names.in_model.insert(file.to_owned(), model);
        }
        names
    }

    /// What the files call the tensor that the model calls so.
    pub fn in_files(&self, model: &str) -> Option<&str> {
        self.in_files.get(model).map(String::as_str)
    }

    /// What the model calls a tensor of the files, if it is one of its weights.
    pub fn in_model<'a>(&'a self, file: &'a str) -> &'a str {
        self.in_model.get(file).map_or(file, String::as_str)
    }

    /// What the files have in place of a missing tensor, for an error.
    pub(crate) fn instead_of(&self, missing: &str) -> String {
        nearest(missing, self.in_model.keys().map(String::as_str))
    }
}

/// What there is in place of a missing tensor, for an error.
pub(crate) fn nearest<'a>(missing: &str, names: impl Iterator<Item = &'a str>) -> String {
    let shared = |file: &&str| {
        let front = file.split('.').zip(missing.split('.')).take_while(|(a, b)| a == b);
        let back = file.rsplit('.').zip(missing.rsplit('.')).take_while(|(a, b)| a == b);
        front.count() + back.count()
    };
    let names: Vec<&str> = names.collect();
    // The first of the nearest: `max_by_key` would give the last.
    match names.iter().rev().max_by_key(|name| shared(name)) {
        None => "the files hold no tensor".to_owned(),
        Some(nearest) => format!("the files hold {} tensors, with names such as {nearest}", names.len()),
    }
}

fn unwrapped(name: &str) -> String {
    let segments = name.split('.').filter(|segment| !WRAPPERS.contains(segment));
    segments.collect::<Vec<_>>().join(".")
}

/// What stands in front of `part`, which begins a segment of the name.
fn before<'a>(name: &'a str, part: &str) -> Option<&'a str> {
    if name.starts_with(part) {
        return Some("");
    }
    let at = name.match_indices(part).find(|&(at, _)| name[..at].ends_with('.'));
    at.map(|(at, _)| &name[..at])
}

/// What all names of the base model have in front, if it can be told.
fn base_prefix<'a>(names: &'a [(&'a str, String)]) -> Option<&'a str> {
    let having = |part: &str| -> BTreeSet<&str> { names.iter().filter_map(|(_, name)| before(name, part)).collect() };
    let (embeddings, layers) = (having(EMBEDDING), having(LAYER));
    // Towers for pictures have layers too, and no embedding of tokens; a folder without one may have the head alone.
    match embeddings.is_empty() {
        true => single(layers.into_iter(), BASE),
        false if embeddings.len() == 1 => embeddings.into_iter().next(),
        false => single(embeddings.intersection(&layers).copied(), BASE),
    }
}

/// The only one of these, or the expected one if it is among them.
fn single<'a>(prefixes: impl Iterator<Item = &'a str>, expected: &'static str) -> Option<&'a str> {
    let prefixes: BTreeSet<&str> = prefixes.collect();
    match prefixes.len() {
        1 => prefixes.into_iter().next(),
        _ => prefixes.get(expected).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: [&str; 5] = [
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.1.mlp.up_proj.weight_packed",
        "model.norm.weight",
        "lm_head.weight",
    ];

    /// Whether each file's name is found for, and from, its name in the model.
    #[track_caller]
    fn same(files: &[String], model: &[&str]) {
        let names = Names::find(files.iter().map(String::as_str), false);
        for (file, model) in files.iter().zip(model) {
            assert_eq!(names.in_files(model), Some(file.as_str()));
            assert_eq!(names.in_model(file), *model);
        }
    }

    #[test]
    fn one_prefix_in_front_of_all_names() {
        for prefix in [
            "",
            "_orig_mod.",
            "module.",
            "module._orig_mod.",
            "_orig_mod.module.",
            "model.",
            "language_model.",
            "model.language_model.",
            "base_model.model.",
            "transformer.",
            "text_model.",
            "a.b.c.",
        ] {
            same(&MODEL.map(|name| format!("{prefix}{name}")), &MODEL);
        }
    }

    #[test]
    fn the_base_model_under_a_name_of_its_own() {
        for prefix in ["", "language_model.", "model.language_model.", "transformer.", "module."] {
            let base = |name: &str| match name.strip_prefix(BASE) {
                Some(rest) => format!("{prefix}{rest}"),
                None => name.to_owned(),
            };
            same(&MODEL.map(base), &MODEL);
            same(&MODEL[..4].iter().map(|name| base(name)).collect::<Vec<_>>(), &MODEL[..4]);
        }
    }

    #[test]
    fn wrappers_anywhere() {
        let wrapped = [
            "model._orig_mod.embed_tokens.weight",
            "model.layers.0._orig_mod.self_attn.q_proj.weight",
            "_fsdp_wrapped_module.model.layers.1._checkpoint_wrapped_module.mlp.up_proj.weight_packed",
            "model.norm._orig_mod.weight",
            "lm_head._orig_mod.weight",
        ];
        same(&wrapped.map(str::to_owned), &MODEL);
    }

    #[test]
    fn layers_of_a_tower_beside_the_model() {
        let tower = ["vision_tower.encoder.layers.0.self_attn.q_proj.weight", "vision_tower.norm.weight"];
        let files = MODEL.iter().map(|name| format!("language_model.{name}")).chain(tower.map(str::to_owned));
        let model: Vec<&str> = MODEL.iter().copied().chain(tower).collect();
        same(&files.collect::<Vec<_>>(), &model);
    }

    #[test]
    fn two_models_are_not_guessed_between() {
        let twice = ["student.", "teacher."].map(|prefix| MODEL.map(|name| format!("{prefix}{name}"))).concat();
        let names = Names::find(twice.iter().map(String::as_str), false);
        assert_eq!(names.in_files(MODEL[0]), None);
        assert_eq!(names.in_model(&twice[0]), twice[0]);
        assert_eq!(
            names.instead_of(MODEL[0]),
            "the files hold 10 tensors, with names such as student.model.embed_tokens.weight"
        );
        // The model under its own name is meant, whatever lies beside it.
        let ema = ["", "ema."].map(|prefix| MODEL.map(|name| format!("{prefix}{name}"))).concat();
        let names = Names::find(ema.iter().map(String::as_str), false);
        assert_eq!(names.in_files(MODEL[0]), Some(MODEL[0]));
        assert_eq!(names.in_model("ema.model.norm.weight"), "ema.model.norm.weight");
    }

    #[test]
    fn two_tensors_for_one_weight() {
        let names = Names::find(["_orig_mod.model.embed_tokens.weight", MODEL[0], MODEL[1]].into_iter(), false);
        assert_eq!(names.in_files(MODEL[0]), Some(MODEL[0]));
        assert_eq!(names.in_model("_orig_mod.model.embed_tokens.weight"), "_orig_mod.model.embed_tokens.weight");
    }

    #[test]
    fn a_tied_head_without_the_embedding_is_the_embedding() {
        let files = ["model.layers.0.self_attn.q_proj.weight", "lm_head.weight"];
        let find = |tied| Names::find(files.into_iter(), tied);
        assert_eq!(find(true).in_files("model.embed_tokens.weight"), Some("lm_head.weight"));
        assert_eq!(find(false).in_files("model.embed_tokens.weight"), None);
        assert_eq!(find(false).in_files("lm_head.weight"), Some("lm_head.weight"));
    }
}
