//! `dual_chunk_attention_config` of a config: positions counted within chunks.

use serde_json::{Map, Value, json};

use crate::error::{Checked, FieldError};
use crate::fields::Verdict::{Refused, Warned};
use crate::fields::{Fields, Row, Unused, none, off};
use crate::layer::LayerConfig;
use crate::outline::Outline;
use crate::rope::RopeScaling;
use crate::values::{COUNT, OBJECT, SIZE};

/// Dual chunk attention: An et al. 2024, arXiv:2402.17463; with the scaling of queries, Qwen2 (arXiv:2407.10671) and
/// Qwen2.5-1M (arXiv:2501.15383).
///
/// A text is cut into chunks of [`chunk`](Self::chunk) tokens. A key is rotated by its place in its chunk, and a query
/// measures from three positions: from its own place to keys of its chunk, from as far behind as it stands to those of the
/// chunk before, and from `chunk_size` to all earlier ones. So no distance is above `chunk_size`, however long the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DualChunk {
    /// The largest distance, in tokens: less than the trained length.
    pub chunk_size: usize,
    /// Distances up to it are those of the text, across the border of two chunks too; less than `chunk_size`.
    pub local_size: usize,
    /// Tokens, from which on scores sharpen: a query at position p is multiplied by 1 + 0.1 ln((p + 1) / it), if that is
    /// above 1. `None`: never.
    pub original_max_position_embeddings: Option<usize>,
}

pub(crate) const NAME: &str = "dual_chunk_attention_config";
const NO_DEFAULT: &str = "every model has its own";

/// Parameters beside: keys that are left out to save time.
const SPARSE: &[Row] = &[
    (&["sparse_attention_enabled"], off, DENSE),
    (&["sparse_attention_config", "sparse_attention_threshold", "sparse_attention_last_q"], none, DENSE),
];
const DENSE: &str = "all keys are attended to here, of which a sparse pattern leaves some out";

impl DualChunk {
    /// Tokens of a chunk.
    pub fn chunk(self) -> usize {
        self.chunk_size - self.local_size
    }

    /// What the query at this position is multiplied by.
    pub fn query_factor(self, position: usize) -> f64 {
        let grown = |original: usize| 1.0 + 0.1 * ((position + 1) as f64 / original as f64).ln();
        self.original_max_position_embeddings.map_or(1.0, |original| grown(original).max(1.0))
    }

    /// Reads the object, if there is one, of a model of which all else was read.
    pub(crate) fn read(top: &mut Fields, outline: &Outline) -> Checked<(Option<Self>, Vec<Unused>)> {
        let Some(object) = top.optional(NAME, OBJECT, None)? else { return Ok((None, Vec::new())) };
        let mut fields = Fields::new(format!("{NAME}."), object);
        let chunk_size = fields.required("chunk_size", SIZE, NO_DEFAULT)?;
        let local_size = fields.required("local_size", COUNT, NO_DEFAULT)?;
        let rule = format!("must be less than chunk_size ({chunk_size})");
        fields.check(local_size < chunk_size, "local_size", local_size, rule)?;
        let original = fields.optional("original_max_position_embeddings", COUNT, None)?;
        let dual = Self {
            chunk_size,
            local_size,
            original_max_position_embeddings: original.filter(|&original| original > 0),
        };
        let tables = [(Warned, SPARSE)];
        let unused = fields.rest(&tables, &(), (Refused, "dual chunk attention has no such parameter"), &[])?;

        let problem = |why: String| Err(FieldError::new(NAME, format!("does not fit the model: {why}")));
        if let Some(window) = outline.window() {
            return problem(format!("layers have a window of {window}, and chunks are for full attention"));
        }
        let layers = outline.layers();
        if !layers.iter().filter_map(LayerConfig::attention).any(|attention| attention.rope.is_some()) {
            return problem("no attention layer has RoPE".to_owned());
        }
        let by_length = |scaling: &RopeScaling| matches!(scaling, RopeScaling::Dynamic(_) | RopeScaling::Longrope(_));
        if let Some(rope) = outline.ropes.iter().find(|rope| by_length(&rope.scaling)) {
            let rope = rope.scaling.name();
            return problem(format!("rope type {rope} turns by angles that depend on the length of the text"));
        }
        Ok((Some(dual), unused))
    }

    pub(crate) fn write(self) -> Map<String, Value> {
        let mut object = Map::from_iter([
            ("chunk_size".to_owned(), json!(self.chunk_size)),
            ("local_size".to_owned(), json!(self.local_size)),
        ]);
        if let Some(original) = self.original_max_position_embeddings {
            object.insert("original_max_position_embeddings".to_owned(), json!(original));
        }
        object
    }
}
