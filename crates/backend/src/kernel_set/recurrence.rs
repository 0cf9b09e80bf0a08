//! What comes in place of attention: recurrences, and the short convolution in front of them.

use burn::tensor::Tensor;

#[cfg(feature = "wgpu")]
use super::cube;
#[cfg(feature = "flex")]
use super::flex;
use super::{KernelBackend, KernelSet};
use crate::Scan;

impl KernelSet {
    /// A depthwise causal convolution: `y[t] = act(bias + sum over k of weight[k] x[t - K + 1 + k])` for each channel, in
    /// float32, rounded once; `act` is SiLU or nothing.
    ///
    /// `tail` is the last `K - 1` inputs before these, in the type of `x`; without one it is zeros. The new one lies as the next
    /// convolution reads it.
    ///
    /// `x` `[batch, tokens, channels]`, `tail` `[batch, channels, K - 1]`, `weight` `[channels, K]`, `bias` `[channels]`
    /// -> `y` as `x`, the new tail
    pub fn causal_conv(
        self,
        x: &Tensor<3>,
        tail: Option<&Tensor<3>>,
        weight: &Tensor<2>,
        bias: Option<&Tensor<1>>,
        silu: bool,
    ) -> Option<(Tensor<3>, Tensor<3>)> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::causal_conv(x, tail, weight, bias, silu),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::causal_conv(class, x, tail, weight, bias, silu),
        }
    }

    /// The recurrence of [`Scan`], in float32; what the tokens give is rounded to the type of `x`, once. The new state is in
    /// float32, and lies as the next scan reads it.
    ///
    /// On a CPU a text gives the same bits whole, in chunks and token by token. There it also has a gradient, in training.
    ///
    /// -> `y` as `x`, the new state `[batch, heads, head_dim, states]`
    pub fn selective_scan(self, scan: &Scan<'_>) -> Option<(Tensor<4>, Tensor<4>)> {
        if self.trains {
            #[cfg(feature = "flex")]
            return flex::trained_scan(scan);
            #[cfg(not(feature = "flex"))]
            return None;
        }
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::selective_scan(scan),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => cube::selective_scan(class, scan),
        }
    }

    /// `ln(1 + e^(x + bias))`, the time step of a selective state space, in float32.
    ///
    /// `x` `[.., width]`, `bias` `[width]` -> the shape of `x`, in float32
    pub fn softplus<const D: usize>(self, x: &Tensor<D>, bias: &Tensor<1>) -> Option<Tensor<D>> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::softplus(x, bias),
            // A graphics adapter makes one operation of many by itself.
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(_) => {
                let _ = (x, bias);
                None
            }
        }
    }

    /// `h[t] = a[t] h[t - 1] + u[t]`, number by number (RG-LRU, arXiv:2402.19427). All of it is float32.
    ///
    /// `a` and `u` `[batch, tokens, width]`, `state` `[batch, width]` or zeros -> `h` as `u`, the last `h`
    pub fn linear_recurrence(
        self,
        a: &Tensor<3>,
        u: &Tensor<3>,
        state: Option<&Tensor<2>>,
    ) -> Option<(Tensor<3>, Tensor<2>)> {
        match self.backend? {
            #[cfg(feature = "flex")]
            KernelBackend::Flex => flex::linear_recurrence(a, u, state),
            #[cfg(feature = "wgpu")]
            KernelBackend::Cube(class) => glass_kernels_cube::linear_recurrence(class, a, u, state),
        }
    }
}
