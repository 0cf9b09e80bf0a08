//! What weights are held in, and what is computed with.

use std::{convert::Infallible, fmt, str::FromStr};

use glass_backend::{
    DeviceError, Dtype, WeightRole,
    quant::{GROUP_SIZE, QuantFormat},
};
use glass_checkpoint::QuantRecipe;
use glass_config::LlamaConfig;

/// `f32`, `f16`, `bf16`; `q8` and `q4` are matrices of so many bits, with everything else in float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    pub dtype: Dtype,
    pub quantize: Option<QuantFormat>,
    /// Matrices are rounded to what their format can represent, and held in `dtype` all the same: what quantized rows are
    /// compared with. `q8-in-f32`, `q4-in-f32`.
    pub fake_quantize: bool,
}

/// Bytes of a scale.
const SCALE: f64 = 2.0;

impl Precision {
    /// The precision whose numbers are the same and are computed with in float32.
    pub fn reference(self) -> Self {
        Self { dtype: Dtype::F32, fake_quantize: self.quantize.is_some(), ..self }
    }

    /// The same of a model whose files hold matrices in few bits: that is how they are computed with, whatever was asked for.
    pub fn of_stored(self, config: &LlamaConfig) -> Self {
        let groups = config.quantization_config.iter();
        let bits = groups.flat_map(|stored| stored.groups.iter().map(|group| group.num_bits));
        let fewest = bits.min().and_then(|bits| QuantFormat::try_from(bits).ok());
        Self { quantize: self.quantize.or(fewest), ..self }
    }

    /// Bytes of a weight of a matrix with this role, its share of a scale included: the mean over a model's layers, where
    /// no matrix has outliers.
    pub fn projection_bytes(self, config: &LlamaConfig, role: WeightRole) -> f64 {
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
        self.matrix_bytes(self.quantize.map(|_| QuantFormat::Int8))
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
        match self.quantize {
            // KernelMode round activations to 8 bits, of which the sign is one.
            Some(_) if !self.fake_quantize => own + 0.5 / 127.0,
            _ => own,
        }
    }
}

impl From<Dtype> for Precision {
    fn from(dtype: Dtype) -> Self {
        Self { dtype, quantize: None, fake_quantize: false }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quantize {
            None => write!(f, "{}", self.dtype),
            Some(bits) if self.fake_quantize => write!(f, "q{bits}-in-{}", self.dtype),
            Some(bits) => write!(f, "q{bits}"),
        }
    }
}

impl FromStr for Precision {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let (bits, fake_quantize) = match name {
            "q8" => (QuantFormat::Int8, false),
            "q4" => (QuantFormat::Int4, false),
            "q8-in-f32" => (QuantFormat::Int8, true),
            "q4-in-f32" => (QuantFormat::Int4, true),
            dtype => return Ok(dtype.parse::<Dtype>()?.into()),
        };
        Ok(Self { dtype: Dtype::F32, quantize: Some(bits), fake_quantize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["f32", "f16", "bf16", "q8", "q4", "q8-in-f32", "q4-in-f32"] {
            assert_eq!(name.parse::<Precision>().unwrap().to_string(), name);
        }
        assert!("q3".parse::<Precision>().is_err());
    }

    #[test]
    fn a_quantized_folder_is_what_its_config_says() {
        let config = |groups: &str| {
            let text = format!(
                r#"{{"model_type": "llama", "vocab_size": 8, "hidden_size": 32, "intermediate_size": 32,
                    "num_hidden_layers": 1, "num_attention_heads": 2{groups}}}"#
            );
            LlamaConfig::from_json(&text, "test", &[]).unwrap()
        };
        let of = |config: &LlamaConfig| Precision::from(Dtype::BF16).of_stored(config).quantize;
        assert_eq!(of(&config("")), None);
        let group = |bits| format!(r#"{{"weights": {{"num_bits": {bits}, "type": "int", "group_size": 32}}}}"#);
        let stored = format!(
            r#", "quantization_config": {{"quant_method": "compressed-tensors", "format": "mixed-precision",
                "config_groups": {{"a": {}, "b": {}}}}}"#,
            group(8),
            group(4)
        );
        assert_eq!(of(&config(&stored)), Some(QuantFormat::Int4));
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
        assert_eq!(bytes("q8"), [eight; 4]);
        // Of 24 layers the first and the last have 8 bits, and the second at what it writes.
        let [inner, values, outputs, head] = bytes("q4");
        assert_eq!([values, head], [eight; 2]);
        assert!((inner - (22.0 * four + 2.0 * eight) / 24.0).abs() < 1e-9);
        assert!((outputs - (21.0 * four + 3.0 * eight) / 24.0).abs() < 1e-9);
        assert_eq!(bytes("q4-in-f32"), [4.0; 4]);
    }
}
