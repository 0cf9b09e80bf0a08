//! Weights that lie in files under a family's names, alone or as parts of others.

use std::{borrow::Cow, collections::HashSet, ops::Range};

use glass_backend::{WeightError, WeightSpec};
use glass_config::{LlamaConfig, StoredRows};

use crate::{
    Files, Names, TensorSource, TensorSpec, mxfp4,
    quantized::{parts, quantized_part},
};

/// Whether these rows are as a module wants them, one behind the other.
pub(super) fn is_contiguous(piece: &StoredRows, row_len: usize) -> bool {
    piece.strides == [row_len, 1]
}

/// Copies rows `rows` of the weight, as far as this piece has them, from the tensor's elements to those of the weight's
/// rows, each `width` bytes wide.
pub(super) fn gather(piece: &StoredRows, rows: Range<usize>, row_len: usize, width: usize, from: &[u8], to: &mut [u8]) {
    each(piece, rows, row_len, |element, place, run| {
        to[place * width..][..run * width].copy_from_slice(&from[element * width..][..run * width]);
    });
}

/// Calls with the number of an element in the tensor, its place in these rows of the weight, and how many lie together in both.
fn each(piece: &StoredRows, rows: Range<usize>, row_len: usize, mut call: impl FnMut(usize, usize, usize)) {
    let run = if piece.strides[1] == 1 { row_len.max(1) } else { 1 };
    let own = rows.start.max(piece.rows.start)..rows.end.min(piece.rows.end);
    for row in own {
        let start = piece.start + (row - piece.rows.start) * piece.strides[0];
        for column in (0..row_len).step_by(run) {
            call(start + column * piece.strides[1], (row - rows.start) * row_len + column, run);
        }
    }
}

/// The way in which the files hold a weight, under their own names; the first one if they do not.
pub(super) fn way(files: &Files, names: &Names, config: &LlamaConfig, weight: WeightSpec<'_>) -> Vec<StoredRows> {
    let mut ways = config.stored(weight.name, weight.shape);
    for piece in ways.iter_mut().flatten() {
        if let Some(name) = in_files(names, &piece.name) {
            piece.name = name;
        }
    }
    let is_there = |way: &Vec<StoredRows>| way.iter().all(|piece| holds(files, &piece.name));
    let found = ways.iter().position(is_there).unwrap_or(0);
    ways.swap_remove(found)
}

/// The name in the files. Of a quantized matrix, the parts have names and not the whole.
fn in_files(names: &Names, name: &str) -> Option<String> {
    let of_quants = || {
        let [quants, ..] = parts(name)?;
        let (matrix, _) = quantized_part(names.in_files(&quants)?)?;
        Some(matrix)
    };
    let of_mxfp4 =
        || Some(names.in_files(&format!("{name}{}", mxfp4::BLOCKS))?.strip_suffix(mxfp4::BLOCKS)?.to_owned());
    names.in_files(name).map(str::to_owned).or_else(of_quants).or_else(of_mxfp4)
}

/// Whether the files have the tensor, in floating point or quantized.
fn holds(files: &Files, name: &str) -> bool {
    let quantized = || parts(name).is_some_and(|[quants, ..]| files.get(&quants).is_some());
    files.get(name).is_some() || quantized() || mxfp4::holds(files, name)
}

/// The tensors of a model in memory as its family's files hold them.
pub struct FamilyTensors<'a, S> {
    source: S,
    config: &'a LlamaConfig,
}

impl<'a, S: TensorSource> FamilyTensors<'a, S> {
    /// `source` has them under the names by which modules ask.
    pub fn new(source: S, config: &'a LlamaConfig) -> Self {
        Self { source, config }
    }

    /// Where the family's files hold a tensor.
    fn places(&self, spec: &TensorSpec) -> Vec<StoredRows> {
        let mut ways = self.config.stored(&spec.name, &spec.shape);
        let mut way = ways.swap_remove(0);
        // Of xIELU's numbers, those that are not learned have no axis in files.
        if let ([place], true) = (&mut way[..], spec.name.ends_with("act_fn.beta") || spec.name.ends_with("act_fn.eps"))
        {
            place.shape.clear();
        }
        way
    }
}

impl<S: TensorSource> TensorSource for FamilyTensors<'_, S> {
    fn tensors(&self) -> Vec<TensorSpec> {
        let mut specs: Vec<TensorSpec> = Vec::new();
        let mut seen = HashSet::new();
        for spec in self.source.tensors() {
            for place in self.places(&spec) {
                if seen.insert(place.name.clone()) {
                    specs.push(TensorSpec { name: place.name, dtype: spec.dtype, shape: place.shape });
                }
            }
        }
        specs
    }

    fn bytes(&mut self, name: &str) -> Result<Cow<'_, [u8]>, WeightError> {
        let specs = self.source.tensors();
        let with_places = specs.iter().map(|spec| (spec, self.places(spec)));
        let parts: Vec<_> = with_places.filter(|(_, places)| places.iter().any(|place| place.name == name)).collect();
        if let [(spec, places)] = &parts[..]
            && let [place] = &places[..]
            && place.shape.iter().product::<usize>() == spec.shape.iter().product::<usize>()
            && place.strides[1] == 1
        {
            return self.source.bytes(&spec.name);
        }
        let mut whole = Vec::new();
        for (spec, places) in &parts {
            let bytes = self.source.bytes(&spec.name)?;
            let row_len: usize = spec.shape.iter().skip(1).product();
            let rows = spec.shape.first().copied().unwrap_or(1);
            let width = bytes.len() / (rows * row_len).max(1);
            for place in places.iter().filter(|place| place.name == name) {
                whole.resize(place.shape.iter().product::<usize>() * width, 0);
                each(place, 0..rows, row_len, |element, from, run| {
                    whole[element * width..][..run * width].copy_from_slice(&bytes[from * width..][..run * width]);
                });
            }
        }
        Ok(Cow::Owned(whole))
    }
}
