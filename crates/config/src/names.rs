//! Tensors by the names of files. Modules ask for Llama's names; a family's files may call a tensor otherwise, or hold it
//! as a part of another.

use std::ops::Range;

use crate::layer::{LayerConfig, MlpConfig};
use crate::llama_config::LlamaConfig;
use crate::norm::NormPlacement;

/// What a family's files call otherwise: the model's name and the file's. A name is a run of parts of a path; `*` stands
/// for a number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TensorName {
    /// The same tensor under another name.
    Named(&'static str, &'static str),
    /// The same, in layers whose blocks have norms before and behind.
    InSandwich(&'static str, &'static str),
    /// A tensor of the file, and what its rows are, one behind the other.
    Rows(&'static str, &'static [&'static str]),
    /// The row of each head is a tensor by itself, with its number behind the file's name.
    EachHead(&'static str, &'static str),
    /// The experts of gpt-oss: all in one tensor `[experts, in, out]`, where `out` alternates gate and up.
    Interleaved,
}

/// Rows of a weight as they lie in a tensor of the files: value (r, c) of these rows is element
/// `start + r * strides[0] + c * strides[1]` of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRows {
    /// The tensor's name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Which rows of the weight these are.
    pub rows: Range<usize>,
    pub start: usize,
    pub strides: [usize; 2],
}

/// The pair of an expert's projections that files hold in one tensor, and the other one.
const GATE_UP: &str = "gate_up_proj";

impl StoredRows {
    /// The whole of a tensor.
    pub fn whole(name: String, shape: &[usize]) -> Self {
        let columns = shape.iter().skip(1).product();
        let rows = 0..shape.first().copied().unwrap_or(1);
        Self { name, shape: shape.to_vec(), rows, start: 0, strides: [columns, 1] }
    }
}

impl LlamaConfig {
    /// Where files may hold the weight `name` of this `shape`: first as the family's files do, then as others have it. Each
    /// way is a list that covers the weight's rows in order.
    pub fn stored(&self, name: &str, shape: &[usize]) -> Vec<Vec<StoredRows>> {
        let names = self.model_type.family().names;
        let layer = number_behind(name, "layers").and_then(|n| self.layers.get(n));
        let file_name = renamed(names, layer, name);
        let own = self.in_family(names, layer, &file_name, shape);
        let mut ways = vec![own.unwrap_or_else(|| vec![StoredRows::whole(file_name.clone(), shape)])];
        // Some families call the module otherwise, and others only what is in it.
        let in_one = [name, &file_name].map(|name| experts_in_one(layer, name, shape, names));
        let mut in_one: Vec<_> = in_one.into_iter().flatten().map(|rows| vec![rows]).collect();
        in_one.dedup();
        let first = names.iter().any(|rule| matches!(rule, TensorName::Interleaved));
        ways.splice(if first && !in_one.is_empty() { 0..1 } else { 1..1 }, in_one);
        let plain = vec![StoredRows::whole(name.to_owned(), shape)];
        if ways[0] != plain {
            ways.push(plain);
        }
        ways
    }

    /// In a tensor that the family's files make of several weights, or the other way round.
    fn in_family(
        &self,
        names: &[TensorName],
        layer: Option<&LayerConfig>,
        name: &str,
        shape: &[usize],
    ) -> Option<Vec<StoredRows>> {
        names.iter().find_map(|rule| match *rule {
            TensorName::Rows(file, parts) => {
                let (i, replaced) =
                    parts.iter().enumerate().find_map(|(i, part)| Some((i, replace(name, part, file)?)))?;
                let rows = |part: &&str| rows_of(layer?, part);
                let before: usize = parts[..i].iter().map(rows).sum::<Option<usize>>()?;
                let all: usize = parts.iter().map(rows).sum::<Option<usize>>()?;
                let mut rows = StoredRows::whole(replaced, shape);
                rows.start = before * rows.strides[0];
                rows.shape[0] = all;
                Some(vec![rows])
            }
            TensorName::EachHead(ours, file) => {
                let replaced = replace(name, ours, file)?;
                let (module, kind) = replaced.rsplit_once('.')?;
                let heads = 0..*shape.first()?;
                let head = |head: usize| StoredRows {
                    rows: head..head + 1,
                    ..StoredRows::whole(format!("{module}.{head}.{kind}"), &shape[1..])
                };
                Some(heads.map(head).collect())
            }
            _ => None,
        })
    }
}

/// The name with all renamings of the family.
fn renamed(names: &[TensorName], layer: Option<&LayerConfig>, name: &str) -> String {
    let sandwich = layer.is_some_and(|layer| layer.norms == NormPlacement::Sandwich);
    names.iter().fold(name.to_owned(), |name, rule| match *rule {
        TensorName::Named(ours, file) => replace(&name, ours, file).unwrap_or(name),
        TensorName::InSandwich(ours, file) if sandwich => replace(&name, ours, file).unwrap_or(name),
        _ => name,
    })
}

/// `name` with the run of parts `from` replaced by `to`, if it has it.
fn replace(name: &str, from: &str, to: &str) -> Option<String> {
    let (parts, from): (Vec<_>, Vec<_>) = (name.split('.').collect(), from.split('.').collect());
    let same = |(part, from): (&&str, &&str)| *from == "*" && part.parse::<usize>().is_ok() || part == from;
    let at = parts.windows(from.len()).position(|run| run.iter().zip(&from).all(same))?;
    let run = &parts[at..at + from.len()];
    let number = from.iter().position(|from| *from == "*").map_or("*", |i| run[i]);
    let to = to.split('.').map(|part| if part == "*" { number } else { part });
    let replaced = parts[..at].iter().copied().chain(to).chain(parts[at + from.len()..].iter().copied());
    Some(replaced.collect::<Vec<_>>().join("."))
}

/// The number behind the part `word` of a name.
fn number_behind(name: &str, word: &str) -> Option<usize> {
    let mut parts = name.split('.').skip_while(|part| *part != word);
    parts.nth(1)?.parse().ok()
}

/// Rows of a projection.
fn rows_of(layer: &LayerConfig, part: &str) -> Option<usize> {
    let attention = layer.attention()?;
    match part.rsplit('.').next()? {
        "q_proj" => Some(attention.q_size()),
        "k_proj" | "v_proj" => Some(attention.kv_size()),
        _ => match layer.mlp? {
            MlpConfig::Dense(mlp) => Some(mlp.intermediate_size),
            MlpConfig::Experts(_) => None,
        },
    }
}

/// A weight of an expert in a tensor of all experts: as version 5 of transformers holds them in memory,
/// `gate_up_proj` `[experts, 2 * inner, hidden]` and `down_proj` `[experts, hidden, inner]`; or as gpt-oss does.
fn experts_in_one(
    layer: Option<&LayerConfig>,
    name: &str,
    shape: &[usize],
    names: &[TensorName],
) -> Option<StoredRows> {
    let Some(MlpConfig::Experts(experts)) = &layer?.mlp else { return None };
    let (module, rest) = name.split_once(".experts.")?;
    let [expert, projection, kind] = rest.split('.').collect::<Vec<_>>().try_into().ok()?;
    let expert: usize = expert.parse().ok()?;
    let (tensor, second) = match projection {
        "gate_proj" => (GATE_UP, 0),
        "up_proj" => (GATE_UP, 1),
        "down_proj" => (projection, 0),
        _ => return None,
    };
    let suffix = if kind == "bias" { "_bias" } else { "" };
    let several = if tensor == GATE_UP { 2 } else { 1 };
    let (rows, columns) = (*shape.first()?, shape.iter().skip(1).product::<usize>());
    let of_expert = several * rows * columns;
    let interleaved = names.iter().any(|rule| matches!(rule, TensorName::Interleaved));
    let (shape, start, strides) = match (shape.len(), interleaved) {
        (1, true) => (vec![several * rows], second, [several, 1]),
        (1, false) => (vec![several * rows], second * rows, [1, 1]),
        (_, true) => (vec![columns, several * rows], second, [several, several * rows]),
        (_, false) => (vec![several * rows, columns], second * rows * columns, [columns, 1]),
    };
    Some(StoredRows {
        name: format!("{module}.experts.{tensor}{suffix}"),
        shape: [vec![experts.num_experts], shape].concat(),
        rows: 0..rows,
        start: expert * of_expert + start,
        strides,
    })
}
