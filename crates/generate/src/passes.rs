//! What a step reads, pass by pass.
//!
//! One pass for all would read the weights once. But a CPU's kernels for many vectors add up in another order than those for a
//! few, so that the bits of a text would depend on who else is in the pass. So where kernels are such, texts share passes of so
//! few tokens that each is multiplied as if it were alone, and longer pieces of prompts share others, where each is multiplied
//! as one of many, which is the same in any company of many.
//!
//! Two kinds of products have fewer vectors than their pass. The head multiplies the last vector of a prompt, and of no more
//! prompts in a pass than it multiplies as if each were alone; of a draft it multiplies all, so that a long one has a pass of its
//! own. An expert multiplies the tokens that are sent to it: where there are experts, every long piece has a pass of its own.

use glass_backend::{Dtype, WeightKind, has_float_matrices};
use glass_config::MlpConfig;

use crate::{Llama, SequenceId, Working};

/// Cuts steps of an [`Engine`](crate::Engine) into passes in which each text has the bits that it has alone.
pub struct Passes {
    /// How many vectors every product multiplies as it multiplies one; `None`: nothing is known of that.
    thin: Option<usize>,
    /// Of more tokens than these, every product of a piece is one of many vectors.
    thick: usize,
    /// Tokens of prompts in a step.
    step_tokens: usize,
    /// Whose piece was the last.
    last: Option<SequenceId>,
}

impl Passes {
    /// Of a step at most so many tokens are of prompts, if one piece is not longer.
    pub fn new(llama: &Llama, step_tokens: usize) -> Self {
        let limits = limits(llama);
        let has_experts = llama.config.layers.iter().any(|layer| matches!(layer.mlp, Some(MlpConfig::Experts(_))));
        let most = limits.iter().flatten().copied().max();
        let thick = most.filter(|_| !has_experts).unwrap_or(usize::MAX);
        Self { thin: limits.and_then(|limits| limits.into_iter().min()), thick, step_tokens, last: None }
    }

    /// The texts of each pass: first those that are being written, then pieces of prompts, of which each has its turn; one of
    /// them at least, however long.
    pub fn plan(&mut self, working: &[Working]) -> Vec<Vec<SequenceId>> {
        let (writing, mut reading): (Vec<Working>, Vec<Working>) =
            working.iter().copied().partition(|text| text.writes);
        let next = reading.partition_point(|text| Some(text.id) <= self.last);
        reading.rotate_left(next);
        let mut tokens = 0;
        reading.retain(|text| {
            let first = tokens == 0;
            tokens += text.tokens;
            first || tokens <= self.step_tokens
        });
        self.last = reading.last().map(|text| text.id);
        let working = writing.into_iter().chain(reading);
        let Some(thin) = self.thin else {
            return vec![working.map(|text| text.id).collect()];
        };
        let (few, many): (Vec<Working>, Vec<Working>) = working.partition(|text| text.tokens <= thin);
        let mut passes = pack(&few, thin);
        let (long, others): (Vec<Working>, Vec<Working>) =
            many.into_iter().partition(|text| !text.writes && text.tokens > self.thick);
        passes.extend(others.iter().map(|text| vec![text.id]));
        passes.extend(long.chunks(thin).map(|texts| texts.iter().map(|text| text.id).collect()));
        passes
    }
}

/// How many vectors are multiplied as if each were alone, for each kind of weights that there is: beside quantized ones some may
/// not be.
fn limits(llama: &Llama) -> Option<Vec<usize>> {
    let floats = match llama.precision.dtype {
        Dtype::F32 => WeightKind::F32,
        Dtype::F16 => WeightKind::Halves,
        Dtype::BF16 => WeightKind::Pairs,
    };
    let kinds = [Some(WeightKind::Quantized), has_float_matrices(&llama.model).then_some(floats)];
    let kernels = llama.device.kernel_set();
    kinds.into_iter().flatten().map(|kind| kernels.most_as_alone(kind)).collect()
}

/// Passes of about as many tokens each, and of `most` at most.
fn pack(texts: &[Working], most: usize) -> Vec<Vec<SequenceId>> {
    let all: usize = texts.iter().map(|text| text.tokens).sum();
    let even = all.div_ceil(all.div_ceil(most).max(1));
    let mut passes: Vec<Vec<SequenceId>> = Vec::new();
    let mut room = 0;
    for text in texts {
        if text.tokens > room {
            passes.push(Vec::new());
            room = even.max(text.tokens);
        }
        room -= text.tokens;
        if let Some(pass) = passes.last_mut() {
            pass.push(text.id);
        }
    }
    passes
}
