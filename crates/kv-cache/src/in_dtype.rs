//! Keys and values in a type of their own.

use std::{collections::HashSet, ops::Range};

use burn::tensor::Tensor;
use glass_backend::{KernelSet, KvDtype, KvTensor};

use crate::{Appended, CacheError, InPlace, KvView, LayerCache};

/// A policy that is given keys and values rounded to `dtype`, and so keeps them in as many bytes. Attention computes from them
/// as they are kept.
pub struct InDtype {
    policy: Box<dyn LayerCache>,
    dtype: KvDtype,
    kernels: KernelSet,
}

impl InDtype {
    pub fn new(policy: Box<dyn LayerCache>, dtype: KvDtype, kernels: KernelSet) -> Self {
        Self { policy, dtype, kernels }
    }
}

impl LayerCache for InDtype {
    fn append(&mut self, k: KvTensor, v: KvTensor, positions: Range<usize>) -> KvView {
        let rounded = |x: KvTensor| x.in_dtype(self.dtype, self.kernels);
        self.policy.append(rounded(k), rounded(v), positions)
    }

    fn append_in_place(&mut self, new: &mut InPlace<'_>, positions: Range<usize>) -> Appended {
        // No kernel rounds to 8 bits on its way.
        let KvDtype::Float(dtype) = self.dtype else { return Appended::Not };
        let new = &mut InPlace { dtype: dtype.burn(), device: new.device.clone(), write: &mut *new.write, ..*new };
        self.policy.append_in_place(new, positions)
    }

    fn max_step(&self) -> usize {
        self.policy.max_step()
    }

    fn wants_weights(&self) -> bool {
        self.policy.wants_weights()
    }

    fn observe(&mut self, weights: Tensor<4>) {
        self.policy.observe(weights);
    }

    fn reserve(&mut self, tokens: usize) {
        self.policy.reserve(tokens);
    }

    fn limit(&mut self, tokens: usize) {
        self.policy.limit(tokens);
    }

    fn reserve_rollback(&mut self, tokens: usize) -> Result<(), CacheError> {
        self.policy.reserve_rollback(tokens)
    }

    fn can_truncate(&self, len: usize) -> bool {
        self.policy.can_truncate(len)
    }

    fn truncate(&mut self, len: usize) {
        self.policy.truncate(len);
    }

    fn fork(&mut self, len: usize) -> Box<dyn LayerCache> {
        Box::new(Self { policy: self.policy.fork(len), ..*self })
    }

    fn snapshot(&mut self, len: usize) -> Box<dyn LayerCache> {
        Box::new(Self { policy: self.policy.snapshot(len), ..*self })
    }

    fn bytes(&self) -> u64 {
        self.policy.bytes()
    }

    fn bytes_beside(&self, counted: &mut HashSet<usize>) -> u64 {
        self.policy.bytes_beside(counted)
    }

    fn states(&self, tokens: usize) -> usize {
        self.policy.states(tokens)
    }

    fn all_states(&self, tokens: usize) -> usize {
        self.policy.all_states(tokens)
    }
}
