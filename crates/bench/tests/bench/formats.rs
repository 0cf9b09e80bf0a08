//! Launches of a token in each format that matrices have.

use std::ops::Range;

use burn::tensor::TensorData;
use glass_backend::{
    BlockRows, Device, Dtype, QuantizedRows, WeightError, WeightRole, WeightSource, WeightSpec, Weights,
    quant::{BlockFormat, quantize_blocks},
};
use glass_bench::{RandomWeights, SEED, Task, random_model, traffic};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::Precision;
use glass_config::LlamaConfig;
use glass_generate::Llama;

use crate::traffic::STORIES;

/// Two layers whose rows are whole blocks of 256.
const IN_BLOCKS: &str = r#"{"model_type": "llama", "vocab_size": 300, "hidden_size": 256, "intermediate_size": 768,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 1,
    "tie_word_embeddings": true, "max_position_embeddings": 512}"#;

/// Random matrices in blocks, values in a format of their own, as in Q4_K_M.
struct InBlocks {
    random: RandomWeights,
    format: BlockFormat,
    values: BlockFormat,
}

impl WeightSource for InBlocks {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        self.random.read(weight, rows, dtype)
    }

    fn is_quantized(&mut self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        Ok(weight.role.is_matrix())
    }

    fn read_quantized(&mut self, weight: WeightSpec<'_>, rows: Range<usize>) -> Result<QuantizedRows, WeightError> {
        let format = if weight.role == WeightRole::Values { self.values } else { self.format };
        let shape = [rows.len(), format.row_bytes(weight.row_len())];
        let values = self.random.read(weight, rows, Dtype::F32)?;
        let mut blocks = vec![0; shape[0] * shape[1]];
        quantize_blocks(values.as_slice::<f32>().unwrap(), weight.row_len(), format, &mut blocks).unwrap();
        Ok(QuantizedRows::Blocks(BlockRows { format, blocks: TensorData::new(blocks, shape) }))
    }
}

/// The second time everything is compiled.
fn launches(llama: &Llama) -> u64 {
    // Kernels of several vectors take software twice as long to compile: a prompt of one token has none.
    let task = Task { depth: 0, prompt: 1, new_tokens: 0 };
    traffic(llama, task).unwrap();
    traffic(llama, task).unwrap().unwrap().token.launches
}

/// On a GPU a layer takes six, whatever its matrices are in, and one more where those of attention are in two formats. Beside the
/// layers are the embedding and the head, and the logits as float32.
pub fn no_format_asks_for_more(gpu: &Device) {
    let stories = LlamaConfig::from_json(STORIES, "test", &[]).unwrap();
    // Beside queries in 4 bits, keys and values have 8.
    for (name, most) in [("f32", 32), ("bf16", 32), ("f16", 33), ("q8", 32), ("q4", 37)] {
        let precision: Precision = name.parse().unwrap();
        let llama = random_model(&stories, gpu, precision, SEED).unwrap();
        let launches = launches(&llama);
        assert!(launches <= most, "{name}: {launches}");
    }
    let in_blocks = LlamaConfig::from_json(IN_BLOCKS, "test", &[]).unwrap();
    for (format, values, most) in [
        (BlockFormat::Q8_0, BlockFormat::Q8_0, 14),
        (BlockFormat::Q4_0, BlockFormat::Q4_0, 14),
        (BlockFormat::Q5K, BlockFormat::Q5K, 14),
        (BlockFormat::Q6K, BlockFormat::Q6K, 14),
        (BlockFormat::Q4K, BlockFormat::Q6K, 16),
    ] {
        let mut source = InBlocks { random: RandomWeights::new(SEED), format, values };
        let model = LlamaForCausalLM::load(Weights::new(&mut source, gpu, Dtype::F32), &in_blocks).unwrap();
        let launches = launches(&Llama::new(model, &in_blocks, gpu, Dtype::F32));
        assert!(launches <= most, "{format}, values in {values}: {launches}");
    }
}
