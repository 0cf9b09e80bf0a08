//! The reference, and how far a row is from it.
//!
//! The reference is float32 on `flex` with plain kernels: the body that the tests compare with `transformers`. Rows in few bits
//! have one of their own, which holds the same numbers in float32: what is lost when a model is quantized is no error of
//! whoever computes with it. It reads a prompt, whose last logits are kept, and writes a greedy text, whose logits are kept as
//! well. Whoever is compared reads the same prompt and writes its own greedy text: as long as that is the reference's, all
//! logits are compared, those of the long pass and those of single steps.
//!
//! What a dtype loses is told beside it: how much less probable than for float32 a row finds the greedy text of float32.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};

use glass_backend::Dtype;
use glass_config::LlamaConfig;
use glass_generate::{Llama, Sampler, SamplingConfig, log_softmax_at};

use crate::{BenchError, Correctness, Greedy, Precision, measure::Text, random_weights::Xorshift32};

/// Tokens of the prompt: longer than the windows of small models.
pub const PROMPT: usize = 320;
/// Of these, at its end, the logits are compared.
const COMPARED: usize = 64;
/// Tokens of the greedy text.
pub const GREEDY: usize = 128;

/// Writes the reference's logits to `file`, row by row, float32 in this machine's order, and returns its greedy tokens.
///
/// # Errors
/// The model fails, or the file.
pub fn write_reference(llama: &Llama, file: &Path) -> Result<Vec<u32>, BenchError> {
    let failed = |source| BenchError::File { file: file.display().to_string(), source };
    let mut out = BufWriter::new(File::create(file).map_err(failed)?);
    let mut write = |logits: &[f32]| {
        let mut bytes = logits.iter().map(|logit| logit.to_ne_bytes());
        bytes.try_for_each(|bytes| out.write_all(&bytes))
    };
    let mut greedy = Greedily::new(llama)?;
    let mut row = Vec::new();
    for compared in greedy.prompt(llama)? {
        write(&compared).map_err(failed)?;
        row = compared;
    }
    let mut tokens = vec![greedy.choose(&row)?];
    while tokens.len() < GREEDY {
        row = greedy.text.step(tokens[tokens.len() - 1])?;
        write(&row).map_err(failed)?;
        tokens.push(greedy.choose(&row)?);
    }
    out.flush().map_err(failed)?;
    Ok(tokens)
}

/// How this model compares with the reference whose logits are in `file` and whose greedy text is `tokens`, and what its
/// dtype allows.
///
/// # Errors
/// The model fails, or the file.
pub fn check(
    llama: &Llama,
    precision: Precision,
    file: &Path,
    tokens: &[u32],
) -> Result<(Correctness, f64), BenchError> {
    let failed = |source| BenchError::File { file: file.display().to_string(), source };
    let mut reference = Reference {
        file: BufReader::new(File::open(file).map_err(failed)?),
        row: vec![0.0; llama.config.vocab_size],
        largest: 0.0,
        off: 0.0,
    };
    let mut greedy = Greedily::new(llama)?;
    let mut row = Vec::new();
    for compared in greedy.prompt(llama)? {
        reference.compare(&compared).map_err(failed)?;
        row = compared;
    }
    let mut own = Vec::new();
    let mut gap = None;
    while own.len() < tokens.len() && reference.off.is_finite() {
        let (id, expected) = (greedy.choose(&row)?, tokens[own.len()]);
        own.push(id);
        if id != expected {
            gap = reference.gap(expected, id);
            break;
        }
        if own.len() < tokens.len() {
            row = greedy.text.step(id)?;
            reference.compare(&row).map_err(failed)?;
        }
    }
    let seen = Correctness {
        max_logit_diff: reference.off,
        largest_logit: reference.largest,
        greedy: Greedy::compare(tokens, &own, |_| gap),
    };
    Ok((seen, tolerance(&llama.config, precision, reference.largest)))
}

/// The mean negative log-likelihood of `tokens` after the prompt, in nats.
///
/// # Errors
/// The model fails.
pub fn loss(llama: &Llama, tokens: &[u32]) -> Result<f64, BenchError> {
    let mut text = Text::new(llama, PROMPT + tokens.len())?;
    let mut ids = prompt(llama);
    ids.extend(&tokens[..tokens.len() - 1]);
    let logits = text.logits_of(&ids, tokens.len())?; // [tokens, vocab_size]
    let rows = logits.chunks(llama.config.vocab_size).zip(tokens);
    let sum: f64 = rows.map(|(row, &id)| -log_softmax_at(row, id)).sum();
    Ok(sum / tokens.len() as f64)
}

/// The same for everybody.
fn prompt(llama: &Llama) -> Vec<u32> {
    let mut random = Xorshift32::new(PROMPT as u32);
    let vocab = llama.config.vocab_size;
    (0..PROMPT).map(|_| random.next_u32() % vocab as u32).collect()
}

/// A greedy text after the prompt.
struct Greedily<'a> {
    text: Text<'a>,
    sampler: Sampler,
}

impl<'a> Greedily<'a> {
    fn new(llama: &'a Llama) -> Result<Self, BenchError> {
        Ok(Self { text: Text::new(llama, PROMPT + GREEDY)?, sampler: Sampler::new(SamplingConfig::default())? })
    }

    /// Reads the prompt in one pass: the last logits, `[vocab_size]` each.
    fn prompt(&mut self, llama: &Llama) -> Result<Vec<Vec<f32>>, BenchError> {
        let logits = self.text.logits_of(&prompt(llama), COMPARED)?; // [COMPARED, vocab_size]
        Ok(logits.chunks(llama.config.vocab_size).map(<[f32]>::to_vec).collect())
    }

    fn choose(&mut self, logits: &[f32]) -> Result<u32, BenchError> {
        Ok(self.sampler.sample(&mut logits.to_vec(), &[])?)
    }
}

/// The reference's logits, row by row.
struct Reference {
    file: BufReader<File>,
    /// The last one read.
    row: Vec<f32>,
    /// Of all logits so far.
    largest: f64,
    /// The largest difference so far; NaN once there is one.
    off: f64,
}

impl Reference {
    /// Reads the next row and compares.
    fn compare(&mut self, own: &[f32]) -> io::Result<()> {
        for (reference, own) in self.row.iter_mut().zip(own) {
            let mut bytes = [0; 4];
            self.file.read_exact(&mut bytes)?;
            *reference = f32::from_ne_bytes(bytes);
            let (reference, own) = (f64::from(*reference), f64::from(*own));
            self.largest = self.largest.max(reference.abs());
            let off = (reference - own).abs();
            // A maximum would drop what is no number.
            if off > self.off || off.is_nan() {
                self.off = off;
            }
        }
        Ok(())
    }

    /// How much more it likes its own token, by the last row read.
    fn gap(&self, own: u32, other: u32) -> Option<f64> {
        let logit = |id: u32| self.row.get(id as usize).copied().map(f64::from);
        Some(logit(own)? - logit(other)?)
    }
}

/// A pass rounds about so often per layer: two norms, q, k, v, the rotation, the probabilities, their sum, o, the residual,
/// gate, up, their product, down, the residual again.
const ROUNDINGS_PER_LAYER: f64 = 15.0;
/// And so often beside the layers: the embedding, the last norm, the head.
const ROUNDINGS_BESIDE: f64 = 3.0;
/// Of the standard deviations that a sum of roundings may be off by; of ten million logits one is off by more than five.
const DEVIATIONS: f64 = 6.0;

/// How far from the reference a logit may be in this dtype, where the largest logit is `largest`.
///
/// Every rounding moves a logit by up to the unit roundoff of the largest of them. Roundings go either way, so that `n` of
/// them add up to the square root of `n`, and to some standard deviations of that among many logits (Higham and Mary 2019,
/// "A new approach to probabilistic rounding error analysis"). Sums are in float32 in every dtype, over as many terms as the
/// widest matrix has columns, which by the same reason costs the square root of that in float32's own roundoff. A wrong
/// weight, position or mask moves logits by a good part of the largest, which is more in float32 and float16 by far.
pub fn tolerance(config: &LlamaConfig, precision: Precision, largest: f64) -> f64 {
    let roundings = ROUNDINGS_PER_LAYER * config.layers.len() as f64 + ROUNDINGS_BESIDE;
    let terms = config.max_width() as f64;
    let each = precision.unit_roundoff() + terms.sqrt() * Dtype::F32.unit_roundoff();
    DEVIATIONS * roundings.sqrt() * each * largest
}
