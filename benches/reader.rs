//! One text, read and continued by one model under one cache policy, with a stopwatch.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use burn::tensor::{DType, Distribution, Tensor};
use glass_generate::{Lane, Llama, PrefillOptions, step};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// Tokens that are read together.
pub const PIECE: usize = 512;
/// Pieces whose median is the speed of reading at a position.
pub const LAST_PIECES: usize = 5;

/// Tokens that are filled in together, and room for those that are timed.
const FILLED: usize = 8192;
const ROOM: usize = 8192;

const WARM_UP: usize = 2;
const STEPS: usize = 16;
/// A turn ends early where steps are slow.
const TURN: Duration = Duration::from_millis(150);

/// A text as far as it has been read under one policy.
pub struct Reader<'a> {
    llama: &'a Llama,
    name: &'static str,
    lane: Lane,
    /// The last that was read to.
    position: usize,
    /// Seconds that reading has taken.
    prefill: f64,
    /// Tokens and seconds of each piece since the last position.
    pieces: Vec<(usize, f64)>,
}

impl<'a> Reader<'a> {
    /// # Errors
    /// No policy, or not for this model.
    pub fn new(llama: &'a Llama, name: &'static str, policy: Option<&str>) -> Outcome<Self> {
        let mut options = PrefillOptions::default();
        if let Some(policy) = policy {
            options.cache = policy.parse()?;
        }
        Ok(Self { llama, name, lane: Lane::new(llama, options)?, position: 0, prefill: 0.0, pieces: vec![] })
    }

    /// The same behind a text of `tokens` tokens that was not read: keys and values are drawn, and what does not grow with the text
    /// (the states of recurrent layers) is as before it. What a step costs does not depend on the numbers.
    ///
    /// # Errors
    /// As [`new`](Self::new); the device cannot hold so many.
    pub fn behind(llama: &'a Llama, name: &'static str, policy: Option<&str>, tokens: usize) -> Outcome<Self> {
        let mut options = PrefillOptions::default();
        if let Some(policy) = policy {
            options.cache = policy.parse()?;
        }
        let mut cache = llama.cache(options.cache)?;
        // Nothing is to grow while it is timed.
        cache.check(tokens + ROOM)?;
        cache.reserve(tokens + ROOM);
        while cache.len() < tokens {
            let positions = cache.advance(FILLED.min(tokens - cache.len()));
            for (number, layer) in llama.config.layers.iter().enumerate() {
                let Some(attention) = layer.attention() else { continue };
                let shape = [1, attention.num_key_value_heads, positions.len(), attention.head_dim];
                let device = (llama.device.burn(), DType::F32);
                let drawn = || Tensor::<4>::random(shape, Distribution::Uniform(-1.0, 1.0), device);
                cache.layer(number).kv().append(drawn().into(), drawn().into(), positions.clone());
            }
        }
        let lane = Lane::from_cache(cache, options.prefill_chunk);
        Ok(Self { llama, name, lane, position: tokens, prefill: 0.0, pieces: vec![] })
    }

    /// Reads on, piece by piece.
    ///
    /// # Errors
    /// The device fails.
    pub fn read_to(&mut self, position: usize) -> Outcome<()> {
        self.pieces.clear();
        while self.lane.len() < position {
            // The odd piece comes first, so that the last ones are whole.
            let rest = position - self.lane.len();
            let len = match rest % PIECE {
                0 => PIECE,
                odd => odd,
            };
            self.read_piece(len)?;
        }
        let tokens: usize = self.pieces.iter().map(|piece| piece.0).sum();
        let seconds = self.read_for();
        // Since the position before, steps stood in for some of the tokens: those count as if they had been read here.
        let share = (position - self.position) as f64 / tokens.max(1) as f64;
        self.prefill += seconds * share;
        self.position = position;
        Ok(())
    }

    /// Reads one more piece.
    ///
    /// # Errors
    /// The device fails.
    pub fn read_piece(&mut self, len: usize) -> Outcome<()> {
        let ids = self.next_ids(len);
        let start = Instant::now();
        self.lane.push(&ids, 0);
        step(self.llama, [&mut self.lane])?.read()?;
        self.pieces.push((len, start.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Seconds that the last pieces have taken.
    pub fn read_for(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.1).sum()
    }

    /// Seconds that reading has taken, all of the text so far.
    pub fn prefill(&self) -> f64 {
        self.prefill
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn cache_bytes(&self) -> u64 {
        self.lane.bytes()
    }

    /// Seconds to read on to `position` if no piece takes longer than the last one.
    pub fn at_least(&self, position: usize) -> f64 {
        let tokens = position - self.lane.len();
        let last = self.pieces.last();
        last.map_or(0.0, |(len, seconds)| tokens as f64 / *len as f64 * seconds)
    }

    /// Tokens per second of each of the last pieces.
    pub fn last_pieces(&self) -> Vec<f64> {
        let last = self.pieces.iter().rev().take(LAST_PIECES);
        last.map(|(len, seconds)| *len as f64 / seconds).collect()
    }

    /// Tokens per second of one turn, which goes on for at most `WARM_UP + STEPS` steps.
    ///
    /// # Errors
    /// The device fails.
    pub fn decode(&mut self) -> Outcome<f64> {
        // Whoever had the turn before has left its own data in the processor's caches.
        for _ in 0..WARM_UP {
            self.step()?;
        }
        let start = Instant::now();
        let mut steps = 0;
        while steps < STEPS && start.elapsed() < TURN {
            self.step()?;
            steps += 1;
        }
        Ok(steps as f64 / start.elapsed().as_secs_f64())
    }

    /// As in generation, a step ends with its logits on the host.
    fn step(&mut self) -> Outcome<()> {
        let ids = self.next_ids(1);
        self.lane.push(&ids, 1);
        step(self.llama, [&mut self.lane])?.read()?;
        Ok(())
    }

    /// The same text for everybody.
    fn next_ids(&self, len: usize) -> Vec<u32> {
        let vocab = self.llama.config.vocab_size as u32;
        let read = self.lane.len() as u32;
        (read..read + len as u32).map(|position| position.wrapping_mul(7919) % vocab).collect()
    }
}
