//! Rotary position embeddings: position as an angle.
//!
//! Source: Su et al. 2021, "RoFormer", arXiv:2104.09864; the rotation by halves is the one of GPT-NeoX and of every
//! Llama checkpoint on the Hugging Face hub (Meta's own files rotate neighbouring pairs, as some families do; the weights
//! differ to match).
//! The frequencies, and what the scalings make of them, are in `config/rope`.

mod kept;

use std::sync::{Arc, Mutex};

use burn::tensor::{DType, Device as BurnDevice, Tensor, TensorData};
use glass_backend::RopeAngles;
use glass_config::{DualChunk, LayerConfig, LlamaConfig, MixerConfig, RopeParameters};

use self::kept::KeptAngles;

/// One RoPE of a model.
///
/// Angles, cosines and sines are computed in float64 and rounded once, to float32.
#[derive(Clone, Debug)]
pub struct Rope {
    parameters: RopeParameters,
    head_dim: usize,
    /// Of passes of a length that they do not depend on.
    inv_freq: Arc<[f64]>,
    /// Tokens after which positions begin anew, where they do ([`DualChunk`]).
    chunk: Option<usize>,
    kept: Arc<Mutex<KeptAngles>>,
}

/// Cosine and sine of every angle of some tokens, multiplied by the model's attention scaling.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RopeTable {
    /// `[rows, seq, pairs]`, row-major.
    pub cos: Vec<f32>,
    /// `[rows, seq, pairs]`, row-major.
    pub sin: Vec<f32>,
}

impl RopeTable {
    /// The angles of more tokens, behind these.
    pub(crate) fn append(&mut self, next: Self) {
        self.cos.extend(next.cos);
        self.sin.extend(next.sin);
    }

    /// Of each of so many tokens of each row the cosines, and then the sines: `[rows, tokens, 2 * pairs]`, float32
    pub(crate) fn on_device(&self, [rows, tokens]: [usize; 2], device: &BurnDevice) -> Tensor<3> {
        let pairs = self.cos.len() / (rows * tokens).max(1);
        let mut values = Vec::with_capacity(2 * self.cos.len());
        for (cos, sin) in self.cos.chunks(pairs.max(1)).zip(self.sin.chunks(pairs.max(1))) {
            values.extend_from_slice(cos);
            values.extend_from_slice(sin);
        }
        Tensor::from_data(TensorData::new(values, [rows, tokens, 2 * pairs]), (device, DType::F32))
    }
}

impl Rope {
    /// The RoPEs that the layers of a model choose from.
    pub fn all(config: &LlamaConfig) -> Vec<Self> {
        let ropes = config.ropes.iter().enumerate();
        let rope = |(index, parameters): (usize, &RopeParameters)| {
            let user = |layer: &LayerConfig| match &layer.mixer {
                MixerConfig::Attention(attention) if attention.rope == Some(index) => {
                    Some((attention.head_dim, attention.dual_chunk.map(DualChunk::chunk)))
                }
                MixerConfig::Retention(retention) if index == 0 => Some((retention.key_dim, None)),
                _ => None,
            };
            let (head_dim, chunk) = config.layers.iter().find_map(user).unwrap_or_default();
            let inv_freq = parameters.inv_freq(head_dim, 0).into();
            Self { parameters: parameters.clone(), head_dim, inv_freq, chunk, kept: Arc::default() }
        };
        ropes.map(rope).collect()
    }

    /// What the config says of it.
    pub fn parameters(&self) -> &RopeParameters {
        &self.parameters
    }

    /// What the token at this position of a text is rotated by.
    pub fn place(&self, position: usize) -> usize {
        self.chunk.map_or(position, |chunk| position % chunk)
    }

    /// Whether positions begin anew in each chunk.
    pub fn is_chunked(&self) -> bool {
        self.chunk.is_some()
    }

    /// Those of a table of some tokens, one behind the other: `[batch or 1, tokens, 2 * pairs]`.
    pub(crate) fn angles(&self, table: Tensor<3>) -> RopeAngles {
        RopeAngles { table: Arc::new(table), first: 0, interleaved: self.parameters.interleaved }
    }

    /// The table for rows of positions, all of one length.
    ///
    /// `dynamic` and `longrope` choose their frequencies by the longest position. Keys that are cached already stay as they
    /// were rotated, as in `transformers`.
    pub fn table(&self, positions: &[Vec<usize>]) -> RopeTable {
        let positions = positions.iter().flatten().copied();
        let length = positions.clone().max().map_or(0, |longest| longest + 1);
        self.table_within(length, positions)
    }

    /// The same in a pass that reaches `length` positions.
    fn table_within(&self, length: usize, positions: impl Iterator<Item = usize>) -> RopeTable {
        let of_length = || self.parameters.inv_freq(self.head_dim, length);
        let own = self.parameters.depends_on_length(length).then(of_length);
        let inv_freq = own.as_deref().unwrap_or(&self.inv_freq);
        let scaling = self.parameters.attention_scaling();
        let mut table = RopeTable::default();
        for position in positions {
            let angles = inv_freq.iter().map(|f| position as f64 * f);
            table.cos.extend(angles.clone().map(|angle| (angle.cos() * scaling) as f32));
            table.sin.extend(angles.map(|angle| (angle.sin() * scaling) as f32));
        }
        table
    }
}

/// Rotates the pairs of every head by the angle of its position: `(x[i], x[i + pairs])`, or, `interleaved`,
/// `(x[2 i], x[2 i + 1])`. What is behind the pairs stays.
///
/// `x` `[batch, heads, seq, head_dim]`, `cos` and `sin` `[batch or 1, 1, seq, pairs]` in float32 -> as `x`.
/// The rotation is computed in float32 whatever the type of `x`.
pub fn rotate(x: Tensor<4>, cos: Tensor<4>, sin: Tensor<4>, interleaved: bool) -> Tensor<4> {
    let dtype = x.dtype();
    let [batch, heads, seq, head_dim] = x.dims();
    let pairs = cos.dims()[3];
    let x = x.cast(DType::F32);
    let part = |from, len| x.clone().narrow(3, from, len);
    let (x1, x2) = if interleaved {
        let neighbours = part(0, 2 * pairs).reshape([batch, heads, seq, pairs, 2]);
        let side = |i| neighbours.clone().narrow(4, i, 1).squeeze_dim(4);
        (side(0), side(1))
    } else {
        (part(0, pairs), part(pairs, pairs))
    }; // [batch, heads, seq, pairs]
    let (y1, y2) = (x1.clone() * cos.clone() - x2.clone() * sin.clone(), x2 * cos + x1 * sin);
    let mut parts = match interleaved {
        true => vec![Tensor::stack::<5>(vec![y1, y2], 4).reshape([batch, heads, seq, 2 * pairs])],
        false => vec![y1, y2],
    };
    if 2 * pairs < head_dim {
        parts.push(part(2 * pairs, head_dim - 2 * pairs));
    }
    Tensor::cat(parts, 3).cast(dtype) // [batch, heads, seq, head_dim]
}
