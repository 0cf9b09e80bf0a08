//! Rotary position embeddings: position as an angle.
//!
//! Source: Su et al. 2021, "RoFormer", arXiv:2104.09864; the rotation by halves is the one of GPT-NeoX and of every
//! Llama checkpoint on the Hugging Face hub (Meta's own files rotate neighbouring pairs; the weights differ to match).
//! The frequencies, and what the scalings make of them, are in `config/rope`.

use burn::tensor::{DType, Tensor};
use glass_config::{LlamaConfig, RopeParameters};

/// One RoPE of a model.
///
/// Angles, cosines and sines are computed in float64 and rounded once, to float32.
#[derive(Clone, Debug)]
pub struct Rope {
    parameters: RopeParameters,
    head_dim: usize,
}

/// Cosine and sine of every angle of some tokens, multiplied by the model's attention scaling.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RopeTable {
    /// `[rows, seq, head_dim / 2]`, row-major.
    pub cos: Vec<f32>,
    /// `[rows, seq, head_dim / 2]`, row-major.
    pub sin: Vec<f32>,
}

impl RopeTable {
    /// The angles of more tokens, behind these.
    pub(crate) fn append(&mut self, next: Self) {
        self.cos.extend(next.cos);
        self.sin.extend(next.sin);
    }
}

impl Rope {
    /// The RoPEs that the layers of a model choose from.
    pub fn all(config: &LlamaConfig) -> Vec<Self> {
        let ropes = config.ropes.iter().enumerate();
        let rope = |(index, parameters): (usize, &RopeParameters)| {
            let mut layers = config.layers.iter().filter_map(|layer| layer.attention());
            let user = layers.find(|layer| layer.rope == Some(index));
            Self { parameters: parameters.clone(), head_dim: user.map_or(0, |layer| layer.head_dim) }
        };
        ropes.map(rope).collect()
    }

    /// What the config says of it.
    pub fn parameters(&self) -> &RopeParameters {
        &self.parameters
    }

    /// The table for rows of positions, all of one length.
    ///
    /// `dynamic` and `longrope` choose their frequencies by the longest position. Keys that are cached already stay as they
    /// were rotated, as in `transformers`.
    pub fn table(&self, positions: &[Vec<usize>]) -> RopeTable {
        let positions = positions.iter().flatten();
        let length = positions.clone().max().map_or(0, |longest| longest + 1);
        let inv_freq = self.parameters.inv_freq(self.head_dim, length);
        let scaling = self.parameters.attention_scaling();
        let angles = positions.flat_map(|&position| inv_freq.iter().map(move |f| position as f64 * f));
        let (cos, sin) = angles.map(|angle| ((angle.cos() * scaling) as f32, (angle.sin() * scaling) as f32)).unzip();
        RopeTable { cos, sin }
    }
}

/// Rotates the pair `(x[i], x[i + head_dim/2])` of every head by the angle of its position.
///
/// `x` `[batch, heads, seq, head_dim]`, `cos` and `sin` `[batch or 1, 1, seq, head_dim / 2]` in float32 -> as `x`.
/// The rotation is computed in float32 whatever the type of `x`.
pub fn rotate(x: Tensor<4>, cos: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
    let dtype = x.dtype();
    let half = x.dims()[3] / 2;
    let x = x.cast(DType::F32);
    let x1 = x.clone().narrow(3, 0, half); // [batch, heads, seq, head_dim / 2]
    let x2 = x.narrow(3, half, half); // [batch, heads, seq, head_dim / 2]
    let rotated = Tensor::cat(vec![x1.clone() * cos.clone() - x2.clone() * sin.clone(), x2 * cos + x1 * sin], 3); // [batch, heads, seq, head_dim]
    rotated.cast(dtype)
}
