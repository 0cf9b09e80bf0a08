//! A head of its own in the files of a model whose config ties the head to the embedding.
//!
//! Fine-tuning, or rounding one of the two, parts them and leaves the config as it was. transformers 5 (`tie_weights`)
//! then believes the files, and so does this.

use glass_backend::Dtype;
use glass_config::LlamaConfig;

use crate::{Files, Names, RawTensor, convert_bytes, float};

/// Values that are compared at a time.
const CHUNK: usize = 1 << 16;

/// Unties the head of `config` if the files hold one that is not the embedding, and returns the warning that says so.
pub fn own_head(files: &Files, config: &mut LlamaConfig) -> Option<String> {
    if !config.tie_word_embeddings {
        return None;
    }
    let names = Names::find(files.names(), true);
    let tensor = |name: String| files.get(names.in_files(&name)?);
    let mut own = ["weight", "weight_packed", "weight_scale"].into_iter().filter_map(|part| {
        let head = tensor(format!("lm_head.{part}"))?;
        let embedding = tensor(format!("model.embed_tokens.{part}"));
        (!embedding.is_some_and(|embedding| is_same(&embedding, &head))).then_some(head)
    });
    let head = own.next()?;
    config.tie_word_embeddings = false;
    Some(format!(
        "{}: the config ties the head to the embedding, but lm_head is there and differs from it: the file's head is used",
        head.file.display()
    ))
}

/// Whether the values are the same, whatever types they are stored in.
fn is_same(a: &RawTensor, b: &RawTensor) -> bool {
    if a.shape != b.shape {
        return false;
    }
    if a.dtype == b.dtype {
        return a.bytes == b.bytes;
    }
    let (Ok(from_a), Ok(from_b)) = (float(a.dtype), float(b.dtype)) else {
        return false;
    };
    let chunks = a.bytes.chunks(CHUNK * from_a.bytes()).zip(b.bytes.chunks(CHUNK * from_b.bytes()));
    let (mut x, mut y) = (vec![0f32; CHUNK], vec![0f32; CHUNK]);
    for (a, b) in chunks {
        let len = a.len() / from_a.bytes();
        convert_bytes(a, from_a, bytemuck::cast_slice_mut(&mut x[..len]), Dtype::F32);
        convert_bytes(b, from_b, bytemuck::cast_slice_mut(&mut y[..len]), Dtype::F32);
        if x[..len] != y[..len] {
            return false;
        }
    }
    true
}
