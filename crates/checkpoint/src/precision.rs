//! What weights are held in, and what is computed with: the words behind every `--dtype`.

use std::{convert::Infallible, fmt, str::FromStr};

use glass_backend::{
    Device, Dtype, WeightRole,
    quant::{GROUP_SIZE, QuantFormat},
};
use glass_config::LlamaConfig;
use glass_gguf::{GgmlType, Gguf};
use thiserror::Error;

use crate::{FileType, Files, Names, QuantRecipe, float, idle::is_idle};

/// A word that is none of them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no dtype is called {0:?}: use f32, f16, bf16, q8 or q4")]
pub struct UnknownPrecision(String);

/// `f32`, `f16`, `bf16`; `q8` and `q4` are matrices of so many bits, with everything else in float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    pub dtype: Dtype,
    pub quantize: Option<QuantFormat>,
    /// Matrices are rounded to what their format can represent, and held in `dtype` all the same: what quantized rows are
    /// compared with. `q8-in-f32`, `q4-in-f32`.
    pub fake_quantize: bool,
    /// Matrices stay in the blocks of a GGUF file, which is of this type.
    pub blocks: Option<FileType>,
}

/// Bytes of a scale.
const SCALE: f64 = 2.0;

impl Precision {
    /// The precision whose numbers are the same and are computed with in float32.
    pub fn reference(self) -> Self {
        Self { dtype: Dtype::F32, fake_quantize: self.quantize.is_some() || self.blocks.is_some(), ..self }
    }

    /// What keys and values are kept in, where a kernel reads them as they are, unless something else is asked for: the type
    /// that is computed with. Beside quantized matrices 16 bits will do.
    pub fn cache_dtype(self) -> Dtype {
        let is_quantized = self.quantize.is_some() && !self.fake_quantize || self.blocks.is_some();
        if is_quantized && self.dtype == Dtype::F32 { Dtype::F16 } else { self.dtype }
    }

    /// What the files hold: quantized matrices, or the float type that most bytes are of.
    pub fn stored(files: &Files, config: &LlamaConfig) -> Self {
        let groups = config.quantization_config.iter();
        let bits = groups.flat_map(|stored| stored.groups.iter().map(|group| group.num_bits));
        if let Some(fewest) = bits.min().and_then(|bits| QuantFormat::try_from(bits).ok()) {
            return Self { quantize: Some(fewest), ..Dtype::F32.into() };
        }
        let names = Names::find(files.names(), config.tie_word_embeddings);
        let tensors = files.names().filter_map(|name| Some((name, files.get(name)?)));
        let weights = tensors.filter(|(name, tensor)| !is_idle(names.in_model(name), tensor));
        let types = weights.filter_map(|(_, tensor)| Some((float(tensor.dtype).ok()?.computed(), tensor.bytes.len())));
        most(types).into()
    }

    /// What a GGUF file holds: blocks, or the float type that most bytes are of.
    pub fn stored_in_gguf(file: &Gguf) -> Self {
        if let Some(blocks) = FileType::of(file) {
            return Self { blocks: Some(blocks), ..Dtype::F32.into() };
        }
        let types = file.tensors().filter_map(|tensor| {
            let dtype = match tensor.ty {
                GgmlType::F16 => Dtype::F16,
                GgmlType::Bf16 => Dtype::BF16,
                GgmlType::F32 => Dtype::F32,
                _ => return None,
            };
            Some((dtype, tensor.bytes.len()))
        });
        most(types).into()
    }

    /// The same, or the next best that this device computes at full speed, with a line that says so.
    pub fn on(self, device: &Device) -> (Self, Option<String>) {
        if let Some(blocks) = self.blocks
            && !device.kernel_set().multiplies(blocks.format())
        {
            let line = format!(
                "the weights are stored in {self}, for which {} has no kernels here: they are dequantized while they are read, and held in f32",
                device.name()
            );
            return (Dtype::F32.into(), Some(line));
        }
        let (well, insists) = match device.dtypes().contains(&device.computes(self.dtype)) {
            true if device.caveat(self.dtype).is_none() => return (self, None),
            true => (" well", format!(" (--dtype {self} insists)")),
            false => ("", String::new()),
        };
        // Every value of the others is one of float32.
        let line = format!(
            "the weights are stored in {self}, in which {} does not compute{well}: they are held in f32{insists}",
            device.name()
        );
        (Self { dtype: Dtype::F32, ..self }, Some(line))
    }

    /// Bytes of a weight of a matrix with this role, its share of a scale included: the mean over a model's layers, where
    /// no matrix has outliers.
    pub fn projection_bytes(self, config: &LlamaConfig, role: WeightRole) -> f64 {
        if let Some(blocks) = self.blocks {
            return self.block_bytes(blocks);
        }
        let Some(format) = self.quantize else {
            return self.matrix_bytes(None);
        };
        let recipe = QuantRecipe::new(format, config);
        let layers = config.layers.len();
        let bytes = (0..layers).map(|layer| {
            let Ok(format) = recipe.format_of(role, Some(layer), || Ok::<_, Infallible>(0.0));
            self.matrix_bytes(format)
        });
        bytes.sum::<f64>() / layers.max(1) as f64
    }

    /// Bytes of a weight of the head, which has 8 bits wherever matrices have few.
    pub fn head_bytes(self) -> f64 {
        match self.blocks {
            Some(blocks) => self.block_bytes(blocks),
            None => self.matrix_bytes(self.quantize.map(|_| QuantFormat::Int8)),
        }
    }

    /// Most matrices are in the format that the type is called by.
    fn block_bytes(self, blocks: FileType) -> f64 {
        match self.fake_quantize {
            true => self.dtype.bytes() as f64,
            false => blocks.format().block_bytes() as f64 / blocks.format().block_len() as f64,
        }
    }

    fn matrix_bytes(self, bits: Option<QuantFormat>) -> f64 {
        match bits {
            Some(format) if !self.fake_quantize => {
                let zero_point = if format == QuantFormat::Int4 { 0.5 } else { 0.0 };
                format.bits() as f64 / 8.0 + (SCALE + zero_point) / GROUP_SIZE as f64
            }
            _ => self.dtype.bytes() as f64,
        }
    }

    /// Half the distance of two numbers that can be told apart, to the largest of its kind, in what is computed with beside
    /// float32.
    pub fn unit_roundoff(self) -> f64 {
        let own = match self.dtype {
            Dtype::F32 => 0.0,
            half => half.unit_roundoff(),
        };
        match self.quantize.is_some() || self.blocks.is_some() {
            // KernelMode round activations to 8 bits, of which the sign is one.
            true if !self.fake_quantize => own + 0.5 / 127.0,
            _ => own,
        }
    }
}

/// The type that most bytes are of.
fn most(types: impl Iterator<Item = (Dtype, usize)>) -> Dtype {
    let mut bytes = Dtype::ALL.map(|dtype| (0, dtype));
    for (dtype, len) in types {
        let (sum, _) =
            bytes.iter_mut().find(|(_, other)| *other == dtype).unwrap_or_else(|| unreachable!("one of all"));
        *sum += len;
    }
    // Of equally many the first, which is the widest.
    let most = bytes.into_iter().rev().max_by_key(|(sum, _)| *sum);
    most.map_or(Dtype::F32, |(_, dtype)| dtype)
}

impl From<Dtype> for Precision {
    fn from(dtype: Dtype) -> Self {
        Self { dtype, quantize: None, fake_quantize: false, blocks: None }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.quantize, self.blocks) {
            (None, None) => return write!(f, "{}", self.dtype),
            (Some(bits), _) => write!(f, "q{bits}")?,
            (None, Some(blocks)) => write!(f, "{blocks}")?,
        }
        if self.fake_quantize { write!(f, "-in-{}", self.dtype) } else { Ok(()) }
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let (bits, fake_quantize) = match name {
            "q8" => (QuantFormat::Int8, false),
            "q4" => (QuantFormat::Int4, false),
            "q8-in-f32" => (QuantFormat::Int8, true),
            "q4-in-f32" => (QuantFormat::Int4, true),
            other => {
                let (blocks, fake_quantize) = match other.strip_suffix("-in-f32") {
                    Some(blocks) => (blocks, true),
                    None => (other, false),
                };
                if let Some(blocks) = FileType::from_name(blocks) {
                    return Ok(Self { blocks: Some(blocks), fake_quantize, ..Dtype::F32.into() });
                }
                return other.parse().map(Dtype::into).map_err(|_| UnknownPrecision(name.to_owned()));
            }
        };
        Ok(Self { quantize: Some(bits), fake_quantize, ..Dtype::F32.into() })
    }
}

#[cfg(test)]
mod tests {
    use glass_backend::KernelMode;

    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["f32", "f16", "bf16", "q8", "q4", "q8-in-f32", "q4-in-f32", "Q4_K_M", "Q8_0-in-f32"] {
            assert_eq!(name.parse::<Precision>().unwrap().to_string(), name);
        }
        let error = "q3".parse::<Precision>().unwrap_err().to_string();
        assert_eq!(error, "no dtype is called \"q3\": use f32, f16, bf16, q8 or q4");
    }

    /// A checkpoint of these vectors, all of them weights unless their names say otherwise.
    fn files(tensors: &[(&str, safetensors::Dtype, usize)]) -> Files {
        let zeros = vec![0; 4096];
        let views = tensors.iter().map(|&(name, dtype, len)| {
            let bytes = &zeros[..len * dtype.bitsize() / 8];
            (name, safetensors::tensor::TensorView::new(dtype, vec![len], bytes).unwrap())
        });
        Files::from_bytes("test".as_ref(), safetensors::serialize(views, None).unwrap()).unwrap()
    }

    fn config(more: &str) -> LlamaConfig {
        let text = format!(
            r#"{{"model_type": "llama", "vocab_size": 8, "hidden_size": 32, "intermediate_size": 32,
                "num_hidden_layers": 1, "num_attention_heads": 2{more}}}"#
        );
        LlamaConfig::from_json(&text, "test", &[]).unwrap()
    }

    #[test]
    fn what_files_hold_is_the_type_of_most_bytes() {
        use safetensors::Dtype::{BF16, BOOL, F16, F32, F64};
        for (tensors, stored) in [
            (&[("a", BF16, 100), ("norm", F32, 10)][..], Dtype::BF16),
            (&[("a", F16, 100), ("norm", F32, 50)], Dtype::F32),
            (&[("a", F16, 100), ("norm", BF16, 10)], Dtype::F16),
            (&[("a", F64, 3)], Dtype::F32),
            (&[("a", BF16, 10), ("rotary_emb.cos_cached", F32, 500), ("mask", BOOL, 900)], Dtype::BF16),
            (&[], Dtype::F32),
        ] {
            assert_eq!(Precision::stored(&files(tensors), &config("")), stored.into(), "{tensors:?}");
        }
    }

    #[test]
    fn what_a_device_does_not_compute_is_held_in_f32() {
        let [flex, ndarray] = ["flex", "ndarray"].map(|name| Device::open(name).unwrap());
        let plain = flex.clone().with_kernel_mode(KernelMode::Plain);
        for (name, device, held) in [
            ("bf16", &flex, "bf16"),
            ("f16", &flex, "f16"),
            ("q4", &flex, "q4"),
            ("q4", &ndarray, "q4"),
            ("bf16", &ndarray, "f32"),
            ("f16", &ndarray, "f32"),
            ("f32", &ndarray, "f32"),
            ("bf16", &plain, "f32"),
            ("f16", &plain, "f16"),
        ] {
            let (precision, line) = name.parse::<Precision>().unwrap().on(device);
            assert_eq!(precision.to_string(), held, "{name} on {}", device.name());
            assert_eq!(line.is_some(), name != held);
        }
        // An adapter packs what it does not compute in; plain operations do not.
        let Some(wgpu) = glass_testing::devices::wgpu() else { return };
        let plain = wgpu.clone().with_kernel_mode(KernelMode::Plain);
        for (device, held) in
            [(&wgpu, "bf16"), (&plain, if wgpu.dtypes().contains(&Dtype::BF16) { "bf16" } else { "f32" })]
        {
            let (precision, line) = Precision::from(Dtype::BF16).on(device);
            assert_eq!((precision.to_string().as_str(), line.is_some()), (held, held == "f32"));
        }
    }

    #[test]
    fn a_quantized_folder_is_what_its_config_says() {
        let group = |bits| format!(r#"{{"weights": {{"num_bits": {bits}, "type": "int", "group_size": 32}}}}"#);
        let stored = format!(
            r#", "quantization_config": {{"quant_method": "compressed-tensors", "format": "mixed-precision",
                "config_groups": {{"a": {}, "b": {}}}}}"#,
            group(8),
            group(4)
        );
        let files = files(&[("a", safetensors::Dtype::BF16, 10)]);
        assert_eq!(Precision::stored(&files, &config(&stored)).to_string(), "q4");
    }

    #[test]
    fn bytes_of_a_weight() {
        let text = r#"{"model_type": "llama", "vocab_size": 8, "hidden_size": 32, "intermediate_size": 32,
            "num_hidden_layers": 24, "num_attention_heads": 2}"#;
        let config = LlamaConfig::from_json(text, "test", &[]).unwrap();
        let bytes = |name: &str| {
            let precision: Precision = name.parse().unwrap();
            let of = |role| precision.projection_bytes(&config, role);
            [of(WeightRole::Projection), of(WeightRole::Values), of(WeightRole::MlpOutput), precision.head_bytes()]
        };
        assert_eq!(bytes("bf16"), [2.0; 4]);
        let (four, eight) = (18.5 / 32.0, 34.0 / 32.0);
        let near = |found: [f64; 4], expected: [f64; 4]| {
            let close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9);
            assert!(close, "{found:?} is not {expected:?}");
        };
        near(bytes("q8"), [eight; 4]);
        // Of 24 layers the first and the last have 8 bits, and the second at what it writes.
        let (two, three) = ((22.0 * four + 2.0 * eight) / 24.0, (21.0 * four + 3.0 * eight) / 24.0);
        near(bytes("q4"), [two, eight, three, eight]);
        assert_eq!(bytes("q4-in-f32"), [4.0; 4]);
    }
}
