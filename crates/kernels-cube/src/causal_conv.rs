//! The short convolution in front of a recurrence; one vector of channels of a token for each unit.

use burn::tensor::Tensor;
use burn_cubecl::kernel::into_contiguous;
use cubecl::{ir::ElemType, prelude::*};

use super::{AdapterClass, Strided, elem, empty, primitive, tensor, vector_size};

/// `x` `[batch, tokens, channels]`, `tail` `[batch, channels, taps - 1]`, `weight` `[channels, taps]`, `bias` `[channels]`
/// -> `y` as `x`, the new tail
pub fn causal_conv(
    class: AdapterClass,
    x: &Tensor<3>,
    tail: Option<&Tensor<3>>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
    silu: bool,
) -> Option<(Tensor<3>, Tensor<3>)> {
    let ([batch, tokens, channels], [rows, taps]) = (x.dims(), weight.dims());
    assert_eq!((rows, taps > 0), (channels, true), "weights of {channels} channels");
    if batch * tokens * channels == 0 {
        return None;
    }
    let (device, dtype) = (x.device(), x.dtype());
    let before = taps - 1;
    let vector = vector_size(channels);
    let by_head: Tensor<4> = x.clone().unsqueeze_dim(1); // [batch, 1, tokens, channels]
    let x = Strided::of(primitive(&by_head)?, vector);
    // Any buffer will do where there is no tail or no bias: it is not read.
    let held = match tail {
        Some(tail) if before > 0 => {
            assert_eq!(tail.dims(), [batch, channels, before], "a tail as it was left");
            into_contiguous(primitive(&tail.clone().cast(dtype).swap_dims(1, 2))?) // [batch, before, channels]
        }
        _ => x.tensor.clone(),
    };
    let bias_held = into_contiguous(match bias {
        Some(bias) => primitive(&bias.clone().cast(weight.dtype()))?,
        None => primitive(weight)?,
    });
    let weight = into_contiguous(primitive(weight)?);
    let weights = elem(&weight);
    let out = empty(&x.tensor, [batch, tokens, channels]);
    // A row that stays unwritten where nothing is left: no buffer is empty.
    let left = empty(&x.tensor, [batch, before.max(1), channels]);
    let (vectors, units) = (batch * (tokens + before) * channels / vector, class.units());
    // SAFETY: units beyond the end do nothing.
    unsafe {
        causal_conv_kernel::launch_unchecked(
            &out.client.clone(),
            super::count(vectors.div_ceil(units)),
            CubeDim::new_1d(units as u32),
            vector,
            x.tensor.clone().into_buffer_arg(),
            held.into_buffer_arg(),
            weight.into_buffer_arg(),
            bias_held.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            left.clone().into_buffer_arg(),
            x.strides[0],
            x.strides[2],
            channels / vector,
            before,
            vectors,
            tokens,
            tail.is_some() && before > 0,
            bias.is_some(),
            silu,
            elem(&x.tensor),
            weights,
        );
    }
    let left: Tensor<3> = if before > 0 { tensor(left) } else { Tensor::empty([batch, 0, channels], (&device, dtype)) };
    Some((tensor(out), left.swap_dims(1, 2))) // [batch, tokens, channels], [batch, channels, before]
}

/// Input `at` of a channel, counted from the first one of the tail on. The channel's first inputs lie at `x_at` and `tail_at`.
#[cube]
#[allow(clippy::too_many_arguments)]
fn input<F: Float, N: Size>(
    x: &[Vector<F, N>],
    tail: &[Vector<F, N>],
    x_at: usize,
    tail_at: usize,
    by_token: usize,
    channels: usize,
    before: usize,
    at: usize,
    #[comptime] has_tail: bool,
) -> Vector<F, N> {
    let mut value = Vector::<F, N>::new(F::new(0.0));
    if at >= before {
        value = x[x_at + (at - before) * by_token];
    } else if has_tail {
        value = tail[tail_at + at * channels];
    }
    value
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn causal_conv_kernel<F: Float, W: Float, N: Size>(
    x: &[Vector<F, N>],
    tail: &[Vector<F, N>],
    weight: &[W],
    bias: &[Vector<W, N>],
    out: &mut [Vector<F, N>],
    left: &mut [Vector<F, N>],
    by_batch: usize,
    by_token: usize,
    channels: usize,
    before: usize,
    vectors: usize,
    tokens: usize,
    #[comptime] has_tail: bool,
    #[comptime] has_bias: bool,
    #[comptime] silu: bool,
    #[define(F)] _dtype: ElemType,
    #[define(W)] _weight_dtype: ElemType,
) {
    if ABSOLUTE_POS < vectors {
        let size = N::value();
        let taps = before + 1;
        let channel = ABSOLUTE_POS % channels;
        let row = ABSOLUTE_POS / channels;
        // A row of the batch has its tokens, and then what it leaves.
        let at = row % (tokens + before);
        let batch = row / (tokens + before);
        let x_at = batch * by_batch + channel;
        let tail_at = batch * before * channels + channel;
        if at < tokens {
            let mut sum = Vector::<f32, N>::new(0.0f32);
            if has_bias {
                sum = Vector::<f32, N>::cast_from(bias[channel]);
            }
            for tap in 0..taps {
                let value = input::<F, N>(x, tail, x_at, tail_at, by_token, channels, before, at + tap, has_tail);
                let mut weights = Vector::<f32, N>::new(0.0f32);
                #[unroll]
                for i in 0..size {
                    weights.insert(i, f32::cast_from(weight[(channel * size + i) * taps + tap]));
                }
                sum += weights * Vector::<f32, N>::cast_from(value);
            }
            if silu {
                let one = Vector::<f32, N>::new(1.0f32);
                sum /= one + Vector::exp(-sum);
            }
            out[(batch * tokens + at) * channels + channel] = Vector::cast_from(sum);
        } else {
            left[tail_at + (at - tokens) * channels] =
                input::<F, N>(x, tail, x_at, tail_at, by_token, channels, before, at, has_tail);
        }
    }
}
