use crate::Fused;
use burn::tensor::Tensor;
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPositions {
    Run { first: usize },
    Ring { end: usize, len: usize },
}
#[derive(Clone, Debug)]
pub struct AttentionParams {
    pub scale: f64,
    pub soft_cap: Option<f64>,
    pub sinks: Option<Tensor<1>>,
}
#[derive(Clone, Debug)]
pub struct KvSegment {
    pub k: Tensor<4>,
    pub v: Tensor<4>,
    pub positions: KeyPositions,
    pub first_key: usize,
    pub window: Option<usize>,
    pub q: Option<Tensor<4>>,
}
impl KvSegment {
    pub fn new(k: Tensor<4>, v: Tensor<4>, positions: KeyPositions) -> Self {
        Self {
            k,
            v,
            positions,
            first_key: 0,
            window: None,
            q: None,
        }
    }
}
impl Fused {
    pub fn attend(
        self,
        _q: &Tensor<4>,
        _segments: &[KvSegment],
        _first_query: usize,
        _params: &AttentionParams,
    ) -> Option<Tensor<4>> {
        None
    }
}
