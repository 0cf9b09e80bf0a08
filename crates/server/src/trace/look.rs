//! Two passes: one over the whole text that an observer sees, and one through the caches that says what they hold and how long
//! each step takes.

use std::time::{Duration, Instant};

use burn::tensor::{DType, Tensor};
use glass_attention::{ForwardContext, HiddenState, NextTokens, Observer, Recurrence, Sequences, Unobserved};
use glass_generate::{Error, Llama, Next, StepOutput, TokenLogprobs};
use glass_kv_cache::CacheConfig;

use super::wanted::{Part, Wanted};

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Of each wanted layer.
    pub attention: Vec<Attention>,
    /// Of each wanted layer that is recurrent.
    pub recurrent: Vec<Recurrent>,
    /// Of the embedding, each wanted layer and the last norm.
    pub states: Vec<State>,
    /// Of each RoPE.
    pub ropes: Vec<Angles>,
    pub caches: Vec<Held>,
    /// Tokens of each step, and how long it took.
    pub steps: Vec<(usize, Duration)>,
}

/// The attention of one layer.
#[derive(Debug)]
pub struct Attention {
    pub layer: usize,
    /// Those of the wanted heads that the layer has.
    pub heads: Vec<usize>,
    /// `[heads, positions, keys]`, row-major
    pub probabilities: Vec<f32>,
}

/// One recurrent layer.
#[derive(Debug)]
pub struct Recurrent {
    pub layer: usize,
    /// Heads, and what each has: `[heads, rows, columns]`
    pub shape: [usize; 3],
    /// Behind the last token, row-major.
    pub state: Vec<f32>,
    /// Decays, time steps and gates by name: `[positions, _]`, row-major, and the width of a position.
    pub gates: Vec<(&'static str, usize, Vec<f32>)>,
}

impl Recurrent {
    /// The length of each head's state.
    pub fn norms(&self) -> Vec<f32> {
        let [_, rows, columns] = self.shape;
        let heads = self.state.chunks((rows * columns).max(1));
        heads.map(|head| head.iter().map(|x| x * x).sum::<f32>().sqrt()).collect()
    }
}

/// A place in the residual stream.
#[derive(Debug)]
pub struct State {
    pub name: String,
    /// Length of the vector of each token.
    pub norms: Vec<f32>,
    /// What the head would say behind each wanted position.
    pub top: Vec<TokenLogprobs>,
}

/// Cosines and sines of one RoPE.
#[derive(Debug)]
pub struct Angles {
    /// Pairs that are rotated.
    pub pairs: usize,
    /// `[seq, pairs]`, row-major
    pub cos: Vec<f32>,
    pub sin: Vec<f32>,
}

/// What a layer's cache holds.
#[derive(Debug)]
pub struct Held {
    pub layer: usize,
    /// Of keys and values; `None`: a state of fixed size.
    pub policy: Option<String>,
    pub window: Option<usize>,
    pub slots: Option<usize>,
    pub bytes: u64,
}

/// # Errors
/// A text that is no text of this model; a device that fails.
pub fn look(llama: &Llama, wanted: &Wanted, cache: CacheConfig) -> Result<Seen, Error> {
    let mut watch = Watch { llama, wanted, seen: Seen::default(), result: Ok(()) };
    let observed =
        [Part::Attention, Part::Recurrence, Part::Norms, Part::Lens, Part::Rope].iter().any(|part| wanted.has(*part));
    if observed {
        let ids = llama.ids(&[&wanted.ids])?; // [1, seq]
        llama.model.hidden(ids, Sequences::WHOLE, &mut watch)?;
    }
    watch.result?;
    let mut seen = watch.seen;
    if wanted.has(Part::Cache) || wanted.has(Part::Timings) {
        through_caches(llama, wanted, cache, &mut seen)?;
    }
    Ok(seen)
}

/// Reads the prompt in one step and each token of the continuation in another, as generation does.
fn through_caches(llama: &Llama, wanted: &Wanted, config: CacheConfig, seen: &mut Seen) -> Result<(), Error> {
    let mut cache = llama.cache(config)?;
    let mut start = 0;
    while start < wanted.ids.len() {
        let end = if start == 0 { wanted.prompt_tokens.max(1) } else { start + 1 };
        let began = Instant::now();
        let ids = llama.ids(&[&wanted.ids[start..end]])?; // [1, tokens]
        let mut next = [NextTokens { cache: &mut cache, tokens: end - start }];
        let hidden = llama.model.hidden(ids, Sequences::Next(&mut next), &mut Unobserved)?; // [1, tokens, hidden_size]
        let last = hidden.narrow(1, end - start - 1, 1); // [1, 1, hidden_size]
        StepOutput::from_hidden(llama, last).read()?;
        seen.steps.push((end - start, began.elapsed()));
        start = end;
    }
    for &layer in &wanted.layers {
        let attention = llama.config.layers[layer].attention();
        let held = cache.layer(layer);
        seen.caches.push(Held {
            layer,
            policy: attention.map(|attention| config.policy(attention.window.into()).to_string()),
            window: attention.and_then(|attention| attention.window).map(|window| window.get()),
            slots: attention.map(|_| held.kv().states(wanted.ids.len())),
            bytes: held.bytes(),
        });
    }
    Ok(())
}

struct Watch<'a> {
    llama: &'a Llama,
    wanted: &'a Wanted,
    seen: Seen,
    result: Result<(), Error>,
}

impl Watch<'_> {
    /// A tensor on the host, in float32.
    fn host<const D: usize>(&self, tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
        Ok(tensor.try_into_vec_as::<f32>().map_err(|error| self.llama.device.failed(error))?)
    }

    fn state(&self, name: String, state: HiddenState, x: &Tensor<3>) -> Result<State, Error> {
        let mut seen = State { name, norms: Vec::new(), top: Vec::new() };
        if self.wanted.has(Part::Norms) {
            let x = x.clone().cast(DType::F32); // [1, seq, hidden_size]
            seen.norms = self.host((x.clone() * x).sum_dim(2).sqrt())?; // [1, seq, 1]
        }
        if self.wanted.has(Part::Lens) {
            let rows: Vec<Tensor<3>> =
                self.wanted.positions.iter().map(|&position| x.clone().narrow(1, position, 1)).collect();
            if rows.is_empty() {
                return Ok(seen);
            }
            let rows = Tensor::cat(rows, 1); // [1, positions, hidden_size]
            let rows = if state == HiddenState::Norm { rows } else { self.llama.model.normed(rows) }; // [1, positions, hidden_size]
            let mut output = StepOutput::from_hidden(self.llama, rows);
            while let Some(mut block) = output.next_block()? {
                for (_, next) in block.rows() {
                    if let Next::Logits(row) = next {
                        seen.top.push(TokenLogprobs::new(row, 0, self.wanted.top));
                    }
                }
            }
        }
        Ok(seen)
    }

    fn keep_attention(&mut self, layer: usize, probabilities: Tensor<4>) -> Result<(), Error> {
        let [_, heads, _, keys] = probabilities.dims();
        let heads: Vec<usize> = self.wanted.heads.iter().copied().filter(|&head| head < heads).collect();
        let seq = self.wanted.ids.len();
        let mut kept = Vec::new();
        for &head in &heads {
            // Head by head, so that all of a long text is never on the host at once.
            let rows = self.host(probabilities.clone().narrow(1, head, 1))?; // [1, 1, seq, keys]
            debug_assert_eq!(rows.len(), seq * keys);
            for &position in &self.wanted.positions {
                kept.extend_from_slice(&rows[position * keys..(position + 1) * keys]);
            }
        }
        self.seen.attention.push(Attention { layer, heads, probabilities: kept });
        Ok(())
    }

    fn keep_recurrence(&mut self, layer: usize, state: Tensor<4>, tokens: Recurrence) -> Result<(), Error> {
        let [_, heads, rows, columns] = state.dims();
        let mut gates = Vec::new();
        for (name, values) in tokens.gates {
            let width = values.dims()[2];
            let all = self.host(values)?; // [1, seq, width]
            let of = |&position: &usize| all[position * width..(position + 1) * width].iter().copied();
            gates.push((name, width, self.wanted.positions.iter().flat_map(of).collect()));
        }
        let state = self.host(state)?;
        self.seen.recurrent.push(Recurrent { layer, shape: [heads, rows, columns], state, gates });
        Ok(())
    }
}

impl Observer for Watch<'_> {
    fn pass(&mut self, ctx: &ForwardContext<'_>) {
        if !self.wanted.has(Part::Rope) {
            return;
        }
        for rope in 0..self.llama.config.ropes.len() {
            let Some((table, rows)) = ctx.rope_table(rope) else { continue };
            let pairs = table.cos.len() / (rows * ctx.seq()).max(1);
            if pairs > 0 {
                self.seen.ropes.push(Angles { pairs, cos: table.cos.clone(), sin: table.sin.clone() });
            }
        }
    }

    fn hidden(&mut self, state: HiddenState, x: &Tensor<3>) {
        let name = match state {
            HiddenState::Embed => "embed".to_owned(),
            HiddenState::Layer(layer) if self.wanted.layers.contains(&layer) => format!("layer.{layer}"),
            HiddenState::Layer(_) => return,
            HiddenState::Norm => "norm".to_owned(),
        };
        if self.result.is_ok() && (self.wanted.has(Part::Norms) || self.wanted.has(Part::Lens)) {
            match self.state(name, state, x) {
                Ok(state) => self.seen.states.push(state),
                Err(error) => self.result = Err(error),
            }
        }
    }

    fn wants_attention(&self) -> bool {
        self.wanted.has(Part::Attention)
    }

    fn attention(&mut self, layer: usize, probabilities: Tensor<4>) {
        if self.result.is_ok() && self.wanted.layers.contains(&layer) {
            self.result = self.keep_attention(layer, probabilities);
        }
    }

    fn wants_recurrence(&self) -> bool {
        self.wanted.has(Part::Recurrence)
    }

    fn recurrence(&mut self, layer: usize, state: Tensor<4>, tokens: Recurrence) {
        if self.result.is_ok() && self.wanted.layers.contains(&layer) {
            self.result = self.keep_recurrence(layer, state, tokens);
        }
    }
}
