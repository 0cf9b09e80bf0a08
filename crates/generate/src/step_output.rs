//! What a pass computed, and the one place that reads logits back: blocking, or `async`.

use burn::tensor::{Tensor, read_sync};
use glass_attention::{Observer, Step};
use glass_backend::{Draws, Input};

use crate::{Chosen, Error, Llama, SamplingError, step::narrow};

/// Logits that are computed at a time, in values (64 MiB): bounds what is on the device beside the hidden states.
const MAX_BLOCK: usize = 16 << 20;

/// What a pass computed. It is still on the device, which may not even have begun with it.
pub struct StepOutput<'a> {
    llama: &'a Llama,
    /// The hidden states whose logits are wanted, as the head reads them, `[1, rows, hidden_size]`; where none is, one to wait for.
    states: Input<'a, 3>,
    /// The lane of each row, by its number in the step.
    lanes: Vec<usize>,
    /// Of the first so many rows the most probable token will do, and for those behind them a draw.
    chosen: (usize, Option<Draws>),
    /// Rows that were read.
    read: usize,
    observer: Option<&'a mut dyn Observer>,
}

/// What follows a token.
#[derive(Debug)]
pub enum Next<'a> {
    /// The model's row, `[vocab_size]`.
    Logits(&'a mut [f32]),
    /// The token, chosen on the device; or why there is none.
    Chosen(Result<Chosen, SamplingError>),
}

impl Next<'_> {
    /// The same for another text; a row is copied to `row`.
    pub(crate) fn copy_to<'a>(&self, row: &'a mut Vec<f32>) -> Next<'a> {
        match self {
            Self::Logits(logits) => {
                row.extend_from_slice(logits);
                Next::Logits(row)
            }
            Self::Chosen(chosen) => Next::Chosen(chosen.clone()),
        }
    }
}

/// Rows of a pass on the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logits {
    vocab_size: usize,
    /// The lane of each row, by its number in the step: first the rows in `chosen`, then those in `values`.
    lanes: Vec<usize>,
    /// Id, logit and log-probability of the token of each row that was left to the device.
    chosen: Vec<f32>,
    /// `[rows, vocab_size]`, row-major
    values: Vec<f32>,
}

impl<'a> StepOutput<'a> {
    pub(crate) fn new(
        llama: &'a Llama,
        states: Input<'a, 3>,
        lanes: Vec<usize>,
        chosen: (usize, Option<Draws>),
        observer: Option<&'a mut dyn Observer>,
    ) -> Self {
        Self { llama, states, lanes, chosen, read: 0, observer }
    }

    /// Hidden states `[batch, seq, hidden_size]` after the final norm: a row for each, one text after the other.
    pub fn from_hidden(llama: &'a Llama, hidden: Tensor<3>) -> Self {
        let [batch, seq, hidden_size] = hidden.dims();
        let rows = batch * seq;
        let hidden = hidden.reshape([1, rows, hidden_size]); // [1, batch * seq, hidden_size]
        let texts = (0..rows).map(|row| row / seq).collect();
        Self::new(llama, hidden.into(), texts, (0, None), None)
    }

    /// Waits for the pass, and reads all its rows.
    ///
    /// # Errors
    /// The device fails.
    pub fn read(self) -> Result<Logits, Error> {
        read_sync(self.read_async())
    }

    /// [`read`](Self::read) where nothing may block: in a browser.
    ///
    /// # Errors
    /// The device fails.
    pub async fn read_async(mut self) -> Result<Logits, Error> {
        let mut all = self.next_block_async().await?.unwrap_or_default();
        while let Some(block) = self.next_block_async().await? {
            all.lanes.extend(block.lanes);
            all.chosen.extend(block.chosen);
            all.values.extend(block.values);
        }
        Ok(all)
    }

    /// Waits for the pass, and reads its next rows: 64 MiB of logits at most, or one row if that is larger; `None` behind
    /// the last.
    ///
    /// # Errors
    /// The device fails.
    pub fn next_block(&mut self) -> Result<Option<Logits>, Error> {
        read_sync(self.next_block_async())
    }

    /// [`next_block`](Self::next_block) where nothing may block.
    ///
    /// # Errors
    /// The device fails.
    pub async fn next_block_async(&mut self) -> Result<Option<Logits>, Error> {
        let (llama, vocab_size) = (self.llama, self.llama.config.vocab_size);
        let left = self.lanes.len() - self.read;
        if self.lanes.is_empty() {
            // Without this the device would queue a whole prompt before its reader saw any progress.
            self.host(self.states.unread().clone().narrow(2, 0, 1)).await?;
        }
        if left == 0 {
            return Ok(None);
        }
        let rows = left.min((MAX_BLOCK / vocab_size).max(1));
        let states = self.states.clone().map(|states| narrow(states, 1, self.read, rows)); // [1, rows, hidden_size]
        let logits = llama.model.head(states).flatten::<2>(0, 1); // [rows, vocab_size]
        if let Some(observer) = &mut self.observer {
            observer.done(Step::Head);
        }
        let mut block = Logits { vocab_size, lanes: self.lanes[self.read..][..rows].to_vec(), ..Logits::default() };
        let chosen = self.choose(&logits);
        self.read += rows;
        let mut from = 0;
        if let Some(chosen) = chosen {
            from = chosen.dims()[0];
            block.chosen = self.host(chosen).await?; // [chosen, 3]
        }
        if from < rows {
            let rest = narrow(logits, 0, from, rows - from); // [rest, vocab_size]
            block.values = self.host(rest).await?;
        }
        Ok(Some(block))
    }

    /// Chooses the tokens of the first of the next rows, as many as the device can.
    ///
    /// `logits` `[rows, vocab_size]` -> id, logit and log-probability, `[chosen, 3]`
    fn choose(&self, logits: &Tensor<2>) -> Option<Tensor<2>> {
        let (kernels, rows, (best, draws)) = (self.llama.device.kernel_set(), logits.dims()[0], &self.chosen);
        // Of the rows from here to there, counted from the first of all, those of this block.
        let part = |from: usize, to: usize| {
            let (from, to) = (from.max(self.read), to.min(self.read + rows));
            (from < to).then(|| (from, narrow(logits.clone(), 0, from - self.read, to - from)))
        };
        let best = part(0, *best).map(|(_, logits)| kernels.argmax(&logits)); // [best, 3]
        let drawn = draws.as_ref().and_then(|draws| {
            let (from, logits) = part(self.chosen.0, self.chosen.0 + draws.rows())?;
            let draws = draws.narrow(from - self.chosen.0, logits.dims()[0]);
            Some(kernels.draw(&logits, &draws)) // [drawn, 3]
        });
        match (best, drawn) {
            (Some(None), _) | (None, None) => None,
            (Some(best), None | Some(None)) => best,
            (None, Some(drawn)) => drawn,
            (Some(Some(best)), Some(Some(drawn))) => Some(Tensor::cat(vec![best, drawn], 0)),
        }
    }

    /// A tensor on the host, in float32.
    async fn host<const D: usize>(&self, tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
        let device = &self.llama.device;
        let data = tensor.into_data_async().await;
        let data = data.map_err(|error| device.failed(error))?;
        let values = data.try_cast_as::<f32>().and_then(|data| data.try_into_vec());
        Ok(values.map_err(|error| device.failed(error))?)
    }
}

impl Logits {
    /// What follows each row's token, with the number of the row's lane in the step. The rows of one lane stand together, in
    /// the order of its tokens.
    pub fn rows(&mut self) -> impl Iterator<Item = (usize, Next<'_>)> {
        let chosen = self.chosen.as_chunks().0.iter().copied();
        let chosen = chosen.map(|best| Next::Chosen(Chosen::read(best)));
        let values = self.values.chunks_mut(self.vocab_size.max(1));
        let next = chosen.chain(values.map(Next::Logits));
        self.lanes.iter().copied().zip(next)
    }

    /// The rows that were read as logits, `[rows, vocab_size]`, row-major: all, unless a lane was left to the device.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// [`values`](Self::values).
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}
