//! Sequences that share passes, each with a cache of its own, and what each would get alone by the definition.

use std::{num::NonZeroUsize, ops::Range};

use burn::tensor::{Tensor, TensorData};
use glass_attention::{ForwardContext, LlamaAttention, NextTokens, Observer, Rope, Sequences, Unobserved};
use glass_backend::{Device, Dtype, KvDtype, WeightError, WeightRole, WeightSource, WeightSpec, Weights};
use glass_config::{AttentionBias, AttentionConfig, DualChunk, LlamaConfig};
use glass_kv_cache::{CacheConfig, CacheError, CachePolicy, KvCache, LayerState};

use crate::definition::{self, Heads, Scores};

pub const HEADS: usize = 4;
pub const KV_HEADS: usize = 2;
pub const HEAD_DIM: usize = 8;
/// Queries, keys and values side by side: the projections of the layer under test take them apart, exactly.
const HIDDEN: usize = (HEADS + 2 * KV_HEADS) * HEAD_DIM;

pub fn config(window: Option<usize>) -> LlamaConfig {
    config_in_chunks(window, None)
}

fn config_in_chunks(window: Option<usize>, dual_chunk: Option<DualChunk>) -> LlamaConfig {
    let dual_chunk = dual_chunk.map(|dual| {
        let DualChunk { chunk_size, local_size, original_max_position_embeddings: original } = dual;
        serde_json::json!({
            "chunk_size": chunk_size, "local_size": local_size, "original_max_position_embeddings": original,
        })
    });
    let fields = serde_json::json!({
        "model_type": "mistral", "vocab_size": 7, "hidden_size": HIDDEN, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "sliding_window": window,
        "dual_chunk_attention_config": dual_chunk,
    });
    LlamaConfig::from_json(&fields.to_string(), "test", &[]).expect("a config")
}

/// Numbers of about the size 1 from a seed, as many as asked for.
pub fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 * 4.0 - 2.0
    };
    (0..count).map(|_| next()).collect()
}

/// Projections that copy: row `i` of `q_proj` is the unit vector of query value `i`, and so on.
struct Copies(Scores);

impl WeightSource for Copies {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        if weight.role == WeightRole::Sinks {
            let sinks = self.0.sinks.expect("only a layer with sinks asks for them");
            return Ok(TensorData::new(sinks.to_vec(), [HEADS]).convert_dtype(dtype.burn()));
        }
        let first = match weight.name {
            "k_proj.weight" => HEADS * HEAD_DIM,
            "v_proj.weight" => (HEADS + KV_HEADS) * HEAD_DIM,
            _ => 0,
        };
        let value = |row: usize, column: usize| f32::from(u8::from(column == first + row));
        let values = rows.clone().flat_map(|row| (0..weight.shape[1]).map(move |column| value(row, column)));
        let data = TensorData::new(values.collect::<Vec<f32>>(), weight.shape_of(&rows));
        Ok(data.convert_dtype(dtype.burn()))
    }
}

/// One token: queries, keys and values, `[HIDDEN]`.
pub type Token = Vec<f32>;

/// One sequence as far as it has come.
pub struct Member {
    pub cache: KvCache,
    pub policy: CachePolicy,
    pub tokens: Vec<Token>,
    /// The most tokens that it has ever had.
    pub furthest: usize,
}

pub struct Company {
    attention: LlamaAttention,
    window: Option<usize>,
    scores: Scores,
    rope: Rope,
    pub device: Device,
    /// Of keys and values.
    dtype: KvDtype,
    pub members: Vec<Member>,
}

/// What a pass needs beside the sequences.
struct Layer<'a> {
    attention: &'a LlamaAttention,
    rope: &'a Rope,
    device: &'a Device,
}

impl Layer<'_> {
    /// Now a few queries fit into a block of scores, now all do. -> `[tokens][HEADS * HEAD_DIM]`
    fn pass(
        &self,
        row: Vec<f32>,
        mut sequences: Sequences<'_>,
        observer: &mut dyn Observer,
        score_bytes: usize,
    ) -> Vec<Vec<f64>> {
        let total = row.len() / HIDDEN;
        let ropes = [self.rope.clone()];
        let ctx = ForwardContext::new(&ropes, HIDDEN, [1, total], &mut sequences, self.device, observer);
        let ctx = ctx.expect("a pass").with_score_bytes(score_bytes);
        let x = Tensor::<3>::from_data(TensorData::new(row, [1, total, HIDDEN]), self.device.burn());
        let window = self.attention.window();
        let out = sequences.with_layer(
            0,
            || LayerState::of_pass(window),
            |states| self.attention.forward(x, None, states, &ctx),
        ); // [1, total, HIDDEN]
        let out = out.into_data().try_to_vec::<f32>().expect("float32");
        out.chunks(HIDDEN).map(|row| row[..HEADS * HEAD_DIM].iter().map(|&x| f64::from(x)).collect()).collect()
    }
}

/// The largest difference from the definition, and the least margin by which a state was dropped.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub off: f64,
    pub margin: f64,
}

impl Company {
    pub fn new(window: Option<usize>, scores: Scores, device: &Device) -> Self {
        let attention = AttentionConfig {
            num_attention_heads: HEADS,
            num_key_value_heads: KV_HEADS,
            head_dim: HEAD_DIM,
            window: window.and_then(NonZeroUsize::new),
            rope: Some(0),
            scale: (HEAD_DIM as f64).powf(-0.5),
            soft_cap: scores.soft_cap,
            sinks: scores.sinks.is_some(),
            qk_norm: None,
            temperature: None,
            dual_chunk: scores.dual_chunk,
            bias: AttentionBias { q_k_v: false, o: false },
        };
        let mut source = Copies(scores);
        let weights = Weights::new(&mut source, device, Dtype::F32);
        Self {
            attention: LlamaAttention::load(weights, &attention, HIDDEN, 0).expect("weights"),
            window,
            scores,
            rope: Rope::all(&config_in_chunks(window, scores.dual_chunk)).remove(0),
            device: device.clone(),
            dtype: Dtype::F32.into(),
            members: Vec::new(),
        }
    }

    /// Those who join from here on keep keys and values in this type.
    pub fn with_cache_dtype(self, dtype: KvDtype) -> Self {
        Self { dtype, ..self }
    }

    /// One more sequence, which can go back by `rollback` tokens (`None`: as far as its policy lets it).
    pub fn join(&mut self, policy: CachePolicy, rollback: Option<usize>) {
        let policies = CacheConfig { full: Some(policy), sliding: Some(policy), dtype: None };
        let config = config_in_chunks(self.window, self.scores.dual_chunk);
        let cache = KvCache::new(&config, policies, |_| &self.device, self.dtype);
        let mut cache = cache.expect("the policy fits");
        if let Some(tokens) = rollback {
            cache.reserve_rollback(tokens).expect("the policy can go back");
        }
        self.members.push(Member { cache, policy, tokens: vec![], furthest: 0 });
    }

    /// One more sequence with the past of this one.
    pub fn fork(&mut self, member: usize) {
        let Member { cache, policy, tokens, furthest } = &mut self.members[member];
        let forked = Member { cache: cache.fork(), policy: *policy, tokens: tokens.clone(), furthest: *furthest };
        self.members.push(forked);
    }

    /// One more sequence with the past of this one, which does not change for it.
    pub fn snapshot(&mut self, member: usize) {
        let Member { cache, policy, tokens, furthest } = &mut self.members[member];
        let copy = Member { cache: cache.snapshot(), policy: *policy, tokens: tokens.clone(), furthest: *furthest };
        self.members.push(copy);
    }

    /// Takes a sequence back to `len` tokens.
    pub fn truncate(&mut self, member: usize, len: usize) -> Result<(), CacheError> {
        self.members[member].cache.truncate(len)?;
        self.members[member].tokens.truncate(len);
        Ok(())
    }

    /// Feeds so many tokens to each sequence in one pass: `[tokens][HEADS * HEAD_DIM]` for each.
    pub fn feed(&mut self, counts: &[usize], seed: u64) -> Vec<Vec<Vec<f64>>> {
        self.feed_observed(counts, seed, &mut Unobserved)
    }

    pub fn feed_observed(&mut self, counts: &[usize], seed: u64, observer: &mut dyn Observer) -> Vec<Vec<Vec<f64>>> {
        let mut row: Vec<f32> = Vec::new();
        for (number, (member, &count)) in self.members.iter_mut().zip(counts).enumerate() {
            for index in 0..count {
                let token = numbers(seed ^ ((number as u64) << 32) ^ ((index as u64) << 8), HIDDEN);
                row.extend(&token);
                member.tokens.push(token);
            }
            member.furthest = member.furthest.max(member.tokens.len());
        }
        if row.is_empty() {
            return vec![vec![]; counts.len()];
        }
        let mut next: Vec<NextTokens<'_>> = self
            .members
            .iter_mut()
            .zip(counts)
            .filter(|(_, count)| **count > 0)
            .map(|(member, &tokens)| NextTokens { cache: &mut member.cache, tokens })
            .collect();
        let layer = Layer { attention: &self.attention, rope: &self.rope, device: &self.device };
        let rows = layer.pass(row, Sequences::Next(&mut next), observer, 1 << (8 + seed % 12));
        let mut rows = rows.into_iter();
        counts.iter().map(|&count| rows.by_ref().take(count).collect()).collect()
    }

    /// All tokens of a sequence in one pass, without a cache: `[tokens][HEADS * HEAD_DIM]`.
    pub fn whole(&self, member: usize, score_bytes: usize) -> Vec<Vec<f64>> {
        let layer = Layer { attention: &self.attention, rope: &self.rope, device: &self.device };
        layer.pass(self.members[member].tokens.concat(), Sequences::WHOLE, &mut Unobserved, score_bytes)
    }

    /// [`feed`](Self::feed), compared with the definition.
    pub fn check(&mut self, counts: &[usize], seed: u64) -> Outcome {
        let found = self.feed(counts, seed);
        let mut outcome = Outcome { off: 0.0, margin: f64::INFINITY };
        for (member, found) in self.members.iter().zip(found) {
            if found.is_empty() {
                continue;
            }
            let part = |from: usize, heads: usize| -> Vec<Vec<Vec<f64>>> {
                let head = |head: usize| {
                    let start = (from + head) * HEAD_DIM;
                    let values = |token: &Token| token[start..start + HEAD_DIM].iter().map(|&x| f64::from(x)).collect();
                    member.tokens.iter().map(values).collect()
                };
                (0..heads).map(head).collect()
            };
            let heads = Heads { q: part(0, HEADS), k: part(HEADS, KV_HEADS), v: part(HEADS + KV_HEADS, KV_HEADS) };
            let expected = definition::run(&heads, member.policy, self.window, &self.rope, self.scores);
            let first = member.tokens.len() - found.len();
            for (found, expected) in found.iter().zip(&expected.mixed[first..]) {
                for (a, b) in found.iter().zip(expected.iter().flatten()) {
                    let apart = (a - b).abs();
                    outcome.off = outcome.off.max(if apart.is_nan() { f64::INFINITY } else { apart });
                }
            }
            outcome.margin = outcome.margin.min(expected.margin);
        }
        outcome
    }
}
