//! A fixture: a tiny model and what `transformers` computed from it.

use std::{collections::HashMap, fs, path::Path};

use burn::tensor::Tensor;
use glass_attention::{Dropouts, ForwardContext, HiddenState, Observer, Padding, Sequences};
use glass_backend::{Device, Dtype};
use glass_generate::{Llama, LoadOptions};
pub use glass_testing::fixtures::{all, root};
use safetensors::SafeTensors;

/// A tensor on the host.
#[derive(Clone, Debug)]
pub struct Values {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

pub type Tensors = HashMap<String, Values>;

pub fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is expected; integers become floats, which hold them exactly.
pub fn expected(folder: &Path) -> Tensors {
    let bytes = fs::read(folder.join("expected.safetensors")).expect("readable");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                safetensors::Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
                safetensors::Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
                safetensors::Dtype::I64 => data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f32).collect(),
                other => panic!("{name} is {other}"),
            };
            let shape = view.shape().to_vec();
            (name, Values { shape, values })
        })
        .collect()
}

/// Loads a fixture with `config.json`, or with `config.legacy.json` in its place.
pub fn load(folder: &Path, legacy: bool, device: &Device, dtype: Dtype) -> Llama {
    load_with(folder, legacy, device, dtype, &[])
}

pub fn load_with(folder: &Path, legacy: bool, device: &Device, dtype: Dtype, overrides: &[&str]) -> Llama {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let to = match (file.as_str(), legacy) {
            ("config.json", true) | ("config.legacy.json", false) => continue,
            ("config.legacy.json", true) => "config.json",
            ("expected.safetensors", _) => continue,
            (other, _) => other,
        };
        fs::copy(&path, copy.path().join(to)).expect("copied");
    }
    let overrides: Vec<_> = overrides.iter().map(|text| text.parse().expect("an override")).collect();
    Llama::load(
        copy.path(),
        LoadOptions {
            device: device.clone(),
            precision: Some(dtype.into()),
            overrides: &overrides,
            progress: &mut |_, _| {},
        },
    )
    .unwrap_or_else(|error| panic!("{}: {error}", name(folder)))
}

/// Integer rows of a tensor `[batch, seq]`.
pub fn rows(values: &Values) -> Vec<Vec<u32>> {
    values.values.chunks(values.shape[1]).map(|row| row.iter().map(|&id| id as u32).collect()).collect()
}

pub fn mask(values: &Values) -> Vec<Vec<bool>> {
    rows(values).iter().map(|row| row.iter().map(|&token| token == 1).collect()).collect()
}

/// One pass over whole rows without a cache, observed.
pub fn forward(llama: &Llama, rows: &[Vec<u32>], mask: Option<&[Vec<bool>]>) -> Tensors {
    let whole = Sequences::Whole { padding: mask.and_then(Padding::from_mask), dropouts: Dropouts::default() };
    let mut seen = Recorder::default();
    let logits = llama.model.forward(ids(llama, rows), whole, &mut seen).expect("a forward pass");
    let mut tensors = seen.0;
    tensors.insert("logits".into(), host(logits));
    tensors
}

pub fn ids(llama: &Llama, rows: &[Vec<u32>]) -> Tensor<2, burn::tensor::Int> {
    let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    llama.ids(&rows).expect("ids of the vocabulary")
}

pub fn host<const D: usize>(tensor: Tensor<D>) -> Values {
    Values { shape: tensor.dims().to_vec(), values: tensor.try_into_vec_as::<f32>().expect("read back") }
}

#[derive(Default)]
struct Recorder(Tensors);

impl Observer for Recorder {
    fn pass(&mut self, ctx: &ForwardContext<'_>) {
        let Some((table, rows)) = ctx.rope_table(0) else { return };
        let shape = vec![rows, ctx.seq(), table.cos.len() / rows / ctx.seq()];
        for (name, values) in [("cos", &table.cos), ("sin", &table.sin)] {
            let values = Values { shape: shape.clone(), values: values.clone() };
            self.0.insert(format!("half.{name}"), values);
        }
    }

    fn hidden(&mut self, state: HiddenState, x: &Tensor<3>) {
        let name = match state {
            HiddenState::Embed => "hidden.embed".to_owned(),
            HiddenState::Layer(i) => format!("hidden.layer.{i}"),
            HiddenState::Norm => "hidden.norm".to_owned(),
        };
        self.0.insert(name, host(x.clone()));
    }

    fn wants_attention(&self) -> bool {
        true
    }

    fn attention(&mut self, layer: usize, probabilities: Tensor<4>) {
        self.0.insert(format!("attn.{layer}"), host(probabilities));
    }
}

/// The largest difference between two tensors of one shape at the positions that `valid` names (`[batch, seq]`, with
/// `seq` along axis `axis`). A NaN in either is the largest of all.
pub fn difference(a: &Values, b: &Values, axis: usize, valid: Option<&[Vec<bool>]>) -> f32 {
    assert_eq!(a.shape, b.shape);
    let inner: usize = a.shape[axis + 1..].iter().product();
    let between: usize = a.shape[1..axis].iter().product();
    let seq = a.shape[axis];
    a.values
        .iter()
        .zip(&b.values)
        .enumerate()
        .filter(|(i, _)| {
            let (slot, row) = (i / inner % seq, i / inner / seq / between);
            valid.is_none_or(|valid| valid[row][slot])
        })
        .map(|(_, (a, b))| match (a - b).abs() {
            difference if difference.is_nan() => f32::INFINITY,
            difference => difference,
        })
        .fold(0.0, f32::max)
}
