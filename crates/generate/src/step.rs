//! One forward pass over the next tokens of any mix of lanes.

use burn::tensor::{Int, Tensor};
use glass_attention::{NextTokens, Observer, Sequences, Unobserved};
use glass_backend::Draws;

use crate::{Choice, Error, Lane, Llama, StepOutput};

/// Reads the next tokens of every lane that has unread ones: all of them, or the next chunk of a prompt.
///
/// # Errors
/// An id that is not of this vocabulary; a pass that the device cannot hold. The lanes are then of no use.
pub fn step<'a, 'l>(llama: &'a Llama, lanes: impl IntoIterator<Item = &'l mut Lane>) -> Result<StepOutput<'a>, Error> {
    step_within(llama, lanes, usize::MAX, None)
}

/// [`step`] with an observer, which is shown the head too, when the output is read.
///
/// # Errors
/// As [`step`].
pub fn step_observed<'a, 'l>(
    llama: &'a Llama,
    lanes: impl IntoIterator<Item = &'l mut Lane>,
    observer: &'a mut dyn Observer,
) -> Result<StepOutput<'a>, Error> {
    step_within(llama, lanes, usize::MAX, Some(observer))
}

/// [`step`] with at most `step_tokens` tokens: first those of texts that are written, then chunks of prompts.
pub(crate) fn step_within<'a, 'l>(
    llama: &'a Llama,
    lanes: impl IntoIterator<Item = &'l mut Lane>,
    step_tokens: usize,
    mut observer: Option<&'a mut dyn Observer>,
) -> Result<StepOutput<'a>, Error> {
    let lanes: Vec<&mut Lane> = lanes.into_iter().collect();
    let tokens = plan(llama, &lanes, step_tokens.max(1));
    let (mut ids, mut next) = (Vec::new(), Vec::new());
    let kernels = llama.device.kernel_set();
    let (mut best, mut drawn, mut others, mut draws) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (number, (lane, tokens)) in lanes.into_iter().zip(tokens).enumerate() {
        if tokens > 0 {
            let (wanted, choice, cache) = lane.take(tokens, &mut ids);
            let rows = match choice {
                Choice::Best => &mut best,
                Choice::Draws(own) if kernels.draws() && own.len() >= wanted.len() => {
                    draws.extend_from_slice(&own[..wanted.len()]);
                    &mut drawn
                }
                _ => &mut others,
            };
            rows.extend(wanted.map(|index| (index, number)));
            next.push(NextTokens { cache, tokens });
        }
    }
    let ids = llama.ids(&[&ids])?; // [1, total]
    // Sent before the pass: an adapter is handed what was launched before it is sent more.
    let draws = (!draws.is_empty()).then(|| Draws::new(&draws, llama.device.burn()));
    let observed: &mut dyn Observer = match &mut observer {
        Some(observer) => &mut **observer,
        None => &mut Unobserved,
    };
    let states = llama.model.states(ids, Sequences::Next(&mut next), observed)?; // [1, total, hidden_size]
    let (indices, lanes): (Vec<_>, Vec<_>) = [&best[..], &drawn, &others].concat().into_iter().unzip();
    let states = states.map(|states| select(states, &indices)); // [1, rows, hidden_size]
    Ok(StepOutput::new(llama, states, lanes, (best.len(), draws), observer))
}

/// How many tokens each lane reads.
fn plan(llama: &Llama, lanes: &[&mut Lane], step_tokens: usize) -> Vec<usize> {
    let mut room = step_tokens;
    let mut plan = vec![0; lanes.len()];
    for writing in [true, false] {
        for (lane, tokens) in lanes.iter().zip(&mut plan) {
            if lane.is_writing() == writing {
                *tokens = lane.next_tokens(room, llama);
                room = room.saturating_sub(*tokens);
            }
        }
    }
    plan
}

/// One pass over whole texts of one length, of which nothing is kept: the rows of each from position `from` on, text by text.
///
/// # Errors
/// As [`step`].
pub fn read_whole<'a>(llama: &'a Llama, texts: &[&[u32]], from: usize) -> Result<StepOutput<'a>, Error> {
    let ids = llama.ids(texts)?; // [batch, seq]
    let hidden = llama.model.hidden(ids, Sequences::WHOLE, &mut Unobserved)?; // [batch, seq, hidden_size]
    let seq = hidden.dims()[1];
    let wanted = narrow(hidden, 1, from, seq - from); // [batch, wanted, hidden_size]
    Ok(StepOutput::from_hidden(llama, wanted))
}

/// Part of an axis; all of it is not touched.
pub(crate) fn narrow<const D: usize>(x: Tensor<D>, axis: usize, start: usize, len: usize) -> Tensor<D> {
    if x.dims()[axis] == len { x } else { x.narrow(axis, start, len) }
}

/// `x` `[1, total, hidden_size]` -> the rows at these indices, `[1, indices, hidden_size]`; the first where there are none, so
/// that there is something to wait for
fn select(x: Tensor<3>, indices: &[usize]) -> Tensor<3> {
    let first = indices.first().copied().unwrap_or(0);
    if indices.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
        return narrow(x, 1, first, indices.len().max(1));
    }
    let indices: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
    let indices = Tensor::<1, Int>::from_data(&indices[..], &x.device());
    x.select(1, indices)
}
