//! Which type each tensor of a GGUF file has.

use glass_backend::{Dtype, quant::BlockFormat};
use glass_config::{LayerConfig, LlamaConfig, MlpConfig};
use glass_gguf::GgmlType;

use super::FileType;

/// What a file's matrices become: numbers, or blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GgufFormat {
    Float(Dtype),
    /// One of [`GgufFormat::MIXTURES`].
    Mixture(FileType),
}

impl GgufFormat {
    /// The mixtures that are written.
    pub const MIXTURES: [&str; 6] = ["q4_k_m", "q5_k_m", "q6_k", "q8_0", "q4_0", "iq4_xs"];

    /// `f32`, `f16`, `bf16` or a mixture, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "f32" => Some(Self::Float(Dtype::F32)),
            "f16" => Some(Self::Float(Dtype::F16)),
            "bf16" => Some(Self::Float(Dtype::BF16)),
            name => FileType::from_name(name).filter(|_| Self::MIXTURES.contains(&name)).map(Self::Mixture),
        }
    }

    /// `general.file_type` (`enum llama_ftype` in llama.cpp's `llama.h`).
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Float(Dtype::F32) => 0,
            Self::Float(Dtype::F16) => 1,
            Self::Float(Dtype::BF16) => 32,
            Self::Mixture(mixture) => mixture.number() as u32,
        }
    }
}

/// What of a model decides its types.
pub(super) struct Mixture {
    format: GgufFormat,
    layers: usize,
    /// Query heads that share a key and a value.
    shared_by: usize,
    experts: usize,
    tied: bool,
    /// A Llama or Qwen2 of 80 layers, whose values are few.
    is_70b: bool,
}

impl Mixture {
    pub fn new(format: GgufFormat, config: &LlamaConfig) -> Self {
        let attention = config.layers.iter().find_map(LayerConfig::attention);
        let heads = |heads: usize, kv: usize| heads.checked_div(kv).unwrap_or(1);
        let experts = config.layers.iter().map(|layer| match &layer.mlp {
            Some(MlpConfig::Experts(experts)) => experts.num_experts,
            _ => 0,
        });
        let architecture = config.gguf_architecture().map_or("", |architecture| architecture.name());
        Self {
            format,
            layers: config.layers.len(),
            shared_by: attention.map_or(1, |a| heads(a.num_attention_heads, a.num_key_value_heads)),
            experts: experts.max().unwrap_or(0),
            tied: config.tie_word_embeddings,
            is_70b: config.layers.len() == 80 && ["llama", "qwen2"].contains(&architecture),
        }
    }

    /// The type of a tensor, as llama.cpp chooses it (`tensor_allows_quantization`, `llama_tensor_get_type` in
    /// `llama-quant.cpp`): vectors, norms and routers are float32, matrices what the format says; in a mixture, those whose
    /// errors cost most have more bits.
    pub fn type_of(&self, name: &str, layer: Option<usize>, shape: &[usize]) -> GgmlType {
        let [.., columns] = shape else { return GgmlType::F32 };
        if shape.len() < 2
            || !name.ends_with("weight")
            || name.ends_with("_norm.weight")
            || name.contains("ffn_gate_inp")
        {
            return GgmlType::F32;
        }
        match self.format {
            GgufFormat::Float(Dtype::F32) => GgmlType::F32,
            GgufFormat::Float(Dtype::F16) => GgmlType::F16,
            GgufFormat::Float(Dtype::BF16) => GgmlType::Bf16,
            GgufFormat::Mixture(mixture) => {
                let format = self.format_of(mixture.format(), name, layer.unwrap_or(0), *columns);
                fitting(format, *columns).map_or(GgmlType::F16, GgmlType::from)
            }
        }
    }

    fn format_of(&self, format: BlockFormat, name: &str, layer: usize, columns: usize) -> BlockFormat {
        use BlockFormat::{Iq4Xs, Q4K, Q5K, Q6K, Q8_0};

        let n = self.layers;
        // The first and the last eighth, and every third between.
        let more_bits = layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
        let is = |part: &str| name.contains(part);
        if name == "output.weight" || (self.tied && name == "token_embd.weight") {
            return match format {
                _ if !columns.is_multiple_of(format.block_len()) => Q8_0,
                Q8_0 => Q8_0,
                _ => Q6K,
            };
        }
        if is("attn_v.") || is("attn_qkv.") {
            let own = match format {
                Iq4Xs if self.shared_by >= 4 => Q5K,
                Q4K | Q5K if more_bits => Q6K,
                Q4K if self.is_70b => Q5K,
                format => format,
            };
            return if self.experts == 8 { Q8_0 } else { own };
        }
        match format {
            _ if is("attn_k.") && self.experts == 8 => Q8_0,
            Q4K | Q5K if is("ffn_down") && more_bits => Q6K,
            Iq4Xs if is("ffn_down") && layer < n / 8 => Q5K,
            Q4K | Iq4Xs if is("attn_output.") && self.experts == 8 => Q5K,
            format => format,
        }
    }
}

/// The format, or the one in shorter blocks that takes its place where rows are not whole blocks. `None`: no blocks fit.
fn fitting(format: BlockFormat, columns: usize) -> Option<BlockFormat> {
    use BlockFormat::{Iq4Nl, Iq4Xs, Q4_0, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};

    let shorter = match format {
        Q4K => Q5_0,
        Q5K => Q5_1,
        Q6K => Q8_0,
        Iq4Xs => Iq4Nl,
        BlockFormat::Q2K | BlockFormat::Q3K => Q4_0,
        format => format,
    };
    [format, shorter].into_iter().find(|format| columns.is_multiple_of(format.block_len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model of 16 layers, with `kv` key/value heads of 16 and so many experts.
    fn config(kv: usize, experts: usize, tied: bool) -> LlamaConfig {
        let family = match experts {
            0 => r#""llama""#.to_owned(),
            n => format!(r#""mixtral", "num_local_experts": {n}, "num_experts_per_tok": 2"#),
        };
        let text = format!(
            r#"{{"model_type": {family}, "vocab_size": 1000, "hidden_size": 2048, "intermediate_size": 4096,
                "num_hidden_layers": 16, "num_attention_heads": 16, "num_key_value_heads": {kv},
                "tie_word_embeddings": {tied}}}"#
        );
        LlamaConfig::from_json(&text, "config.json", &[]).unwrap()
    }

    /// The layers in which a tensor has this type.
    fn layers_in(format: &str, config: &LlamaConfig, tensor: &str, ty: &str) -> Vec<usize> {
        let mixture = Mixture::new(GgufFormat::from_name(format).unwrap(), config);
        let of = |layer: usize| mixture.type_of(&format!("blk.{layer}.{tensor}.weight"), Some(layer), &[2048, 2048]);
        (0..16).filter(|&layer| of(layer).name() == ty).collect()
    }

    /// As llama-quantize chooses them.
    #[test]
    fn types_are_those_of_llama_cpp() {
        let more_bits = [0, 1, 4, 7, 10, 13, 14, 15];
        let all: Vec<usize> = (0..16).collect();
        let plain = config(16, 0, false);
        for (format, least) in [("q4_k_m", "Q4_K"), ("q5_k_m", "Q5_K")] {
            assert_eq!(layers_in(format, &plain, "attn_v", "Q6_K"), more_bits);
            assert_eq!(layers_in(format, &plain, "ffn_down", "Q6_K"), more_bits);
            assert_eq!(layers_in(format, &plain, "ffn_up", least), all);
            assert_eq!(layers_in(format, &plain, "attn_output", least), all);
        }
        assert_eq!(layers_in("iq4_xs", &plain, "ffn_down", "Q5_K"), [0, 1]);
        assert_eq!(layers_in("iq4_xs", &plain, "attn_v", "IQ4_XS"), all);
        assert_eq!(layers_in("iq4_xs", &config(4, 0, false), "attn_v", "Q5_K"), all);
        for uniform in ["q8_0", "q4_0", "q6_k"] {
            let name = uniform.to_uppercase();
            for tensor in ["attn_v", "attn_k", "ffn_down", "attn_output"] {
                assert_eq!(layers_in(uniform, &plain, tensor, &name), all);
            }
        }
        let eight = config(4, 8, false);
        assert_eq!(layers_in("q4_k_m", &eight, "attn_v", "Q8_0"), all);
        assert_eq!(layers_in("q4_k_m", &eight, "attn_k", "Q8_0"), all);
        assert_eq!(layers_in("q4_k_m", &eight, "attn_output", "Q5_K"), all);
        assert_eq!(layers_in("q4_k_m", &eight, "ffn_down_exps", "Q6_K"), more_bits);
        assert_eq!(layers_in("q4_k_m", &eight, "ffn_gate_inp", "F32"), all);
    }

    #[test]
    fn heads_and_short_rows_have_types_of_their_own() {
        let of = |format: &str, tied: bool, name: &str, columns: usize| {
            let mixture = Mixture::new(GgufFormat::from_name(format).unwrap(), &config(16, 0, tied));
            mixture.type_of(name, None, &[1000, columns]).name()
        };
        for (format, head, embedding, short) in [
            ("q4_k_m", "Q6_K", "Q4_K", "Q5_0"),
            ("q5_k_m", "Q6_K", "Q5_K", "Q5_1"),
            ("q6_k", "Q6_K", "Q6_K", "Q8_0"),
            ("q8_0", "Q8_0", "Q8_0", "Q8_0"),
            ("q4_0", "Q6_K", "Q4_0", "Q4_0"),
            ("iq4_xs", "Q6_K", "IQ4_XS", "IQ4_NL"),
            ("f16", "F16", "F16", "F16"),
        ] {
            assert_eq!(of(format, false, "output.weight", 2048), head, "{format}");
            assert_eq!(of(format, true, "token_embd.weight", 2048), head, "{format}");
            assert_eq!(of(format, false, "token_embd.weight", 2048), embedding, "{format}");
            assert_eq!(of(format, false, "token_embd.weight", 96), short, "{format}");
            assert_eq!(of(format, false, "token_embd.weight", 100), "F16", "{format}");
        }
        let head = of("q4_k_m", true, "token_embd.weight", 96);
        assert_eq!(head, "Q8_0");
        for name in ["output_norm.weight", "blk.0.attn_q_norm.weight", "blk.0.ffn_gate_exps.bias"] {
            assert_eq!(of("q4_0", false, name, 2048), "F32", "{name}");
        }
        assert_eq!(GgufFormat::from_name("q3_k_m"), None);
        assert_eq!(GgufFormat::from_name("Q4_K_M"), GgufFormat::from_name("q4_k_m"));
    }
}
