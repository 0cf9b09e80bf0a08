//! The short convolution in front of a recurrence: each channel by itself, over the tokens up to its own.

use std::ops::Range;

use crate::{
    chunk::chunk_len,
    columns::{self, ColumnKernel, Parts, load, store},
    gate::sigmoid,
    isa::Isa,
    scratch::Scratch,
    share::share,
    simd_ext::SimdExt,
    view::View,
};

/// What a convolution with `taps` weights for each channel reads.
#[derive(Clone, Copy, Debug)]
pub struct CausalConv<'a> {
    /// `[batch, 1, tokens, channels]`
    pub x: View<'a, f32>,
    /// The inputs before the first token, `[batch, taps - 1, channels]`; without them, zeros.
    pub tail: Option<&'a [f32]>,
    /// `[channels, taps]`; the last is of the token itself.
    pub weight: &'a [f32],
    /// `[channels]`
    pub bias: Option<&'a [f32]>,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// -> `y` `[batch, tokens, channels]`, `tail` `[batch, taps - 1, channels]`: the inputs before the next token
///
/// A text gives the same bits whole, in chunks and token by token. Error: at most `(taps + 1) 2^-24` of the sum of
/// magnitudes; SiLU multiplies that by 1.1 at most, and has a relative error of `6 * 2^-24` of its own.
///
/// # Panics
/// If shapes do not fit each other.
pub fn causal_conv(isa: Isa, conv: &CausalConv<'_>, y: &mut [f32], tail: &mut [f32]) {
    let [batch, one, tokens, channels] = conv.x.shape();
    let all = batch * tokens * channels;
    assert_eq!((one, y.len()), (1, all), "as many outputs as inputs");
    if channels == 0 {
        return;
    }
    let taps = conv.weight.len() / channels;
    assert!(taps > 0 && conv.weight.len() == taps * channels, "weights of {channels} channels");
    assert!(conv.bias.is_none_or(|bias| bias.len() == channels), "a bias for each channel");
    assert_eq!(tail.len(), batch * (taps - 1) * channels, "a tail for each channel");
    assert!(conv.tail.is_none_or(|before| before.len() == tail.len()), "a tail as it was left");
    let zeros = Scratch::zeroed::<f32>(channels);
    let inputs = Inputs { conv, taps, zeros: &zeros.values()[..channels] };
    if taps > 1 {
        for (i, row) in tail.chunks_exact_mut(channels).enumerate() {
            row.copy_from_slice(inputs.row(i / (taps - 1), tokens + i % (taps - 1)));
        }
    }
    let Some(chunk) = chunk_len(all, channels) else {
        return;
    };
    let y = &Parts::new(y);
    let chunk = chunk / channels;
    let (pieces, blocks) = (tokens.div_ceil(chunk), columns::blocks(isa, channels, channels));
    share(usize::MAX, batch * pieces, |piece| {
        let start = piece % pieces * chunk;
        for block in 0..blocks {
            let channels = columns::block(isa, channels, block);
            let tokens = start..tokens.min(start + chunk);
            let tile = Tile { inputs: &inputs, batch: piece / pieces, tokens, channels, y };
            columns::run(isa, tile.channels.len(), tile);
        }
    });
}

/// All that is convolved.
struct Inputs<'a> {
    conv: &'a CausalConv<'a>,
    taps: usize,
    zeros: &'a [f32],
}

impl Inputs<'_> {
    /// `[channels]`: counted from the first one of the tail on.
    #[inline(always)]
    fn row(&self, batch: usize, at: usize) -> &[f32] {
        let before = self.taps - 1;
        match (at.checked_sub(before), self.conv.tail) {
            (Some(token), _) => self.conv.x.row(batch, 0, token),
            (None, Some(tail)) => &tail[(batch * before + at) * self.zeros.len()..][..self.zeros.len()],
            (None, None) => self.zeros,
        }
    }
}

/// Some channels of some tokens.
struct Tile<'a> {
    inputs: &'a Inputs<'a>,
    batch: usize,
    tokens: Range<usize>,
    channels: Range<usize>,
    y: &'a Parts<'a>,
}

impl ColumnKernel for Tile<'_> {
    #[inline(always)]
    fn run<S: SimdExt, const W: usize>(self, simd: S) {
        let Self { inputs, batch, channels: Range { start, end }, .. } = self;
        let [_, _, tokens, channels] = inputs.conv.x.shape();
        // Weights of a tap side by side.
        let width = W * S::F32_LANES;
        let mut weights = Scratch::zeroed::<f32>(inputs.taps * width);
        let numbers = weights.values_mut::<f32>();
        let rows = inputs.conv.weight[start * inputs.taps..end * inputs.taps].chunks_exact(inputs.taps);
        for (lane, row) in rows.enumerate() {
            for (tap, weight) in row.iter().enumerate() {
                numbers[tap * width + lane] = *weight;
            }
        }
        let (weights, _) = S::as_simd_f32s(weights.values());
        let (weights, _) = weights.as_chunks::<W>();
        let weights = &weights[..inputs.taps];
        let bias = match inputs.conv.bias {
            Some(bias) => load::<S, W>(simd, &bias[start..end]),
            None => [simd.splat_f32s(0.0); W],
        };
        for token in self.tokens {
            let mut y = bias;
            for (tap, weight) in weights.iter().enumerate() {
                let x = load::<S, W>(simd, &inputs.row(batch, token + tap)[start..end]);
                for i in 0..W {
                    y[i] = simd.multiply_add(weight[i], x[i], y[i]);
                }
            }
            if inputs.conv.silu {
                for y in &mut y {
                    *y = simd.mul_f32s(*y, sigmoid(simd, *y));
                }
            }
            // SAFETY: the channels of a token belong to one tile.
            store(simd, unsafe { self.y.part((batch * tokens + token) * channels + start, end - start) }, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ROUNDOFF, assert_same_on_any_threads, random};

    /// `x` `[batch, tokens, stride]`, of which the first `channels` are read.
    struct Case {
        shape: [usize; 3],
        taps: usize,
        stride: usize,
        x: Vec<f32>,
        tail: Option<Vec<f32>>,
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        silu: bool,
    }

    impl Case {
        fn new(shape: [usize; 3], taps: usize, options: usize) -> Self {
            let [batch, tokens, channels] = shape;
            let option = |bit: usize| options >> bit & 1 == 1;
            let stride = channels + if option(0) { 3 } else { 0 };
            Self {
                shape,
                taps,
                stride,
                x: random(batch * tokens * stride, 1),
                tail: option(1).then(|| random(batch * (taps - 1) * channels, 2)),
                weight: random(taps * channels, 3),
                bias: option(2).then(|| random(channels, 4)),
                silu: option(3),
            }
        }

        fn run(&self, isa: Isa, tokens: Range<usize>, tail: Option<&[f32]>) -> (Vec<f32>, Vec<f32>) {
            let [batch, all, channels] = self.shape;
            let (first, len) = (tokens.start * self.stride, tokens.len());
            let strides = [all * self.stride, 0, self.stride];
            let conv = CausalConv {
                x: View::new(&self.x[first.min(self.x.len())..], [batch, 1, len, channels], strides),
                tail,
                weight: &self.weight,
                bias: self.bias.as_deref(),
                silu: self.silu,
            };
            let mut y = vec![f32::NAN; batch * len * channels];
            let mut tail = vec![f32::NAN; batch * (self.taps - 1) * channels];
            causal_conv(isa, &conv, &mut y, &mut tail);
            (y, tail)
        }

        /// Input `at` of a channel, counted from the first of the tail on.
        fn input(&self, row: usize, at: usize, channel: usize) -> f64 {
            let [_, tokens, channels] = self.shape;
            let before = self.taps - 1;
            f64::from(match at.checked_sub(before) {
                Some(token) => self.x[(row * tokens + token) * self.stride + channel],
                None => self.tail.as_ref().map_or(0.0, |tail| tail[(row * before + at) * channels + channel]),
            })
        }

        /// The definition, and how far from it the kernel may be.
        fn defined(&self, row: usize, token: usize, channel: usize) -> (f64, f64) {
            let mut sum = self.bias.as_ref().map_or(0.0, |bias| f64::from(bias[channel]));
            let mut size = sum.abs();
            for tap in 0..self.taps {
                let product = f64::from(self.weight[channel * self.taps + tap]) * self.input(row, token + tap, channel);
                sum += product;
                size += product.abs();
            }
            let bound = 2.0 * (self.taps + 1) as f64 * ROUNDOFF * size;
            if self.silu {
                let silu = sum / (1.0 + (-sum).exp());
                (silu, 1.1 * bound + 6.0 * ROUNDOFF * silu.abs())
            } else {
                (sum, bound)
            }
        }
    }

    #[test]
    fn causal_conv_is_the_definition_in_any_chunks() {
        let shapes = [[0, 2, 3], [2, 0, 5], [1, 2, 0], [1, 1, 1], [2, 3, 33], [1, 9, 70], [3, 17, 130], [2, 300, 200]];
        let cases = shapes.iter().flat_map(|shape| [1, 2, 4, 7].map(|taps| (*shape, taps)));
        for (number, (shape @ [batch, tokens, channels], taps)) in cases.enumerate() {
            let case = Case::new(shape, taps, number * 7 % 16);
            for isa in Isa::all() {
                let (y, tail) = case.run(isa, 0..tokens, case.tail.as_deref());
                for (at, y) in y.iter().enumerate() {
                    let (row, token, channel) = (at / channels / tokens, at / channels % tokens, at % channels);
                    let (defined, bound) = case.defined(row, token, channel);
                    let off = (f64::from(*y) - defined).abs();
                    assert!(off <= bound, "{isa:?} {shape:?} {taps}: {y} is not {defined}");
                }
                for (at, left) in tail.iter().enumerate() {
                    let (row, after) = (at / channels / (taps - 1), at / channels % (taps - 1));
                    assert_eq!(f64::from(*left), case.input(row, tokens + after, at % channels));
                }
                let whole = (y, tail);
                assert_same_on_any_threads("a convolution", || {
                    let again = case.run(isa, 0..tokens, case.tail.as_deref());
                    assert!(again == whole, "another result");
                });
                if batch == 1 && tokens > 1 {
                    let (first, between) = case.run(isa, 0..tokens / 3, case.tail.as_deref());
                    let (second, last) = case.run(isa, tokens / 3..tokens, Some(&between));
                    assert_eq!(([first, second].concat(), last), whole, "{isa:?} {shape:?} {taps}");
                }
            }
        }
    }
}
