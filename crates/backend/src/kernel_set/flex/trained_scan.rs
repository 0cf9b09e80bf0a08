//! The selective scan in training: one operation, with a kernel for its gradient in place of what thousands of small
//! operations would record.

use burn::{
    backend::{
        Autodiff, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        flex::FlexTensor,
    },
    tensor::{DType, Tensor},
};
use glass_kernels::{Isa, ScanGradient, SelectiveScan, View, selective_scan_gradient};

use super::{contiguous, floats};
use crate::Scan;

/// The scan on tensors that record, or no longer do; `None` where they lie elsewhere than on flex, are not float32, or
/// recompute what they do not keep.
///
/// -> as [`selective_scan`](super::selective_scan)
pub fn trained_scan(scan: &Scan<'_>) -> Option<(Tensor<4>, Tensor<4>)> {
    let ([batch, tokens, heads, head_dim], [_, _, groups, states]) = (scan.x.dims(), scan.b.dims());
    let decays = scan.a.dims()[1];
    let Some(x) = tracked(scan.x) else { return super::selective_scan(scan) };
    let device = scan.x.device();
    let zeros = |shape: [usize; 4]| Tensor::<4>::zeros(shape, (&device, DType::F32));
    let d = scan.d.cloned().unwrap_or_else(|| Tensor::zeros([heads], (&device, DType::F32)));
    let state = scan.state.cloned().unwrap_or_else(|| zeros([batch, heads, head_dim, states]));
    let inputs =
        [x, tracked(scan.dt)?, tracked(scan.a)?, tracked(scan.b)?, tracked(scan.c)?, tracked(&d)?, tracked(&state)?];
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| input.into_primitive());
    let sizes = Sizes { batch, tokens, heads, head_dim, groups, states, decays };

    let plain = Plain::of(&inputs);
    let (y, state) = super::selective_scan(&plain.scan())?;
    // One operation has one output: y, and behind it the state.
    let numbers = [y.reshape([sizes.outputs()]), state.reshape([sizes.states()])]; // [batch * tokens * heads * head_dim], [batch * heads * head_dim * states]
    let both = super::primitive(&Tensor::cat(numbers.to_vec(), 0))?;
    let both = match TrainedScan.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(operation) => operation.finish((sizes, inputs), both),
        OpsKind::UnTracked(operation) => operation.finish(both),
    };
    let both = Tensor::<1>::from_primitive::<Autodiff<Flex>>(both);
    let y = both.clone().narrow(0, 0, sizes.outputs()).reshape([batch, tokens, heads, head_dim]);
    let state = both.narrow(0, sizes.outputs(), sizes.states()).reshape([batch, heads, head_dim, states]);
    Some((y, state))
}

/// A float32 tensor that records.
fn tracked<const D: usize>(x: &Tensor<D>) -> Option<TrackedTensor> {
    x.clone().try_into_primitive::<Autodiff<Flex>>().ok().filter(|x| x.dtype() == DType::F32)
}

type TrackedTensor = <Autodiff<Flex> as burn::backend::BackendTypes>::FloatTensorPrimitive;

#[derive(Clone, Copy, Debug)]
struct Sizes {
    batch: usize,
    tokens: usize,
    heads: usize,
    head_dim: usize,
    groups: usize,
    states: usize,
    decays: usize,
}

impl Sizes {
    /// Numbers in y.
    fn outputs(&self) -> usize {
        self.batch * self.tokens * self.heads * self.head_dim
    }

    /// Numbers in a state.
    fn states(&self) -> usize {
        self.batch * self.heads * self.head_dim * self.states
    }
}

/// x, dt, a, b, c, d and the state without their records.
struct Plain {
    x: Tensor<4>,
    dt: Tensor<3>,
    a: Tensor<2>,
    b: Tensor<4>,
    c: Tensor<4>,
    d: Tensor<1>,
    state: Tensor<4>,
}

impl Plain {
    fn of([x, dt, a, b, c, d, state]: &[FlexTensor; 7]) -> Self {
        Self { x: plain(x), dt: plain(dt), a: plain(a), b: plain(b), c: plain(c), d: plain(d), state: plain(state) }
    }

    fn scan(&self) -> Scan<'_> {
        let Self { x, dt, a, b, c, d, state } = self;
        Scan { x, dt, a, b, c, d: Some(d), state: Some(state) }
    }
}

fn plain<const D: usize>(x: &FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(x.clone())
}

#[derive(Debug)]
struct TrainedScan;

impl Backward<Flex, 7> for TrainedScan {
    type State = (Sizes, [FlexTensor; 7]);

    fn backward(self, ops: Ops<Self::State, 7>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (sizes, inputs) = ops.state;
        let gradients = gradients(&sizes, &Plain::of(&inputs), &plain::<1>(&grads.consume::<Flex>(&ops.node)));
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// By x, dt, a, b, c, d and the state, from that by the one output.
///
/// The kernel has a step and decays for each column. Where the columns of a head share theirs they are copied, and the
/// gradients of the copies are added.
fn gradients(sizes: &Sizes, inputs: &Plain, by_output: &Tensor<1>) -> [FlexTensor; 7] {
    let Sizes { batch, tokens, heads, head_dim, groups, states, decays } = *sizes;
    let columns = heads * head_dim;
    let dt = inputs.dt.clone().unsqueeze_dim::<4>(3).repeat_dim(3, head_dim); // [batch, tokens, heads, head_dim]
    let a = inputs.a.clone().unsqueeze_dim::<3>(1).repeat_dim(1, head_dim); // [heads, head_dim, decays]
    let d = inputs.d.clone().unsqueeze_dim::<2>(1).repeat_dim(1, head_dim); // [heads, head_dim]
    let beside = |state: Tensor<4>| state.permute([0, 3, 1, 2]); // [batch, states, heads, head_dim]
    let dy = by_output.clone().narrow(0, 0, sizes.outputs());
    let dstate = by_output.clone().narrow(0, sizes.outputs(), sizes.states());
    let dstate = beside(dstate.reshape([batch, heads, head_dim, states]));
    let [x, b, c] = [&inputs.x, &inputs.b, &inputs.c].map(|x| whole(x.clone()));
    let [dt, state, dstate] = [dt, beside(inputs.state.clone()), dstate].map(whole);
    let (a, d, dy) = (whole(a), whole(d), whole(dy));

    let of_group = [batch, tokens, groups, states];
    let strides = [tokens * groups * states, groups * states, states];
    let scan = SelectiveScan {
        x: View::new(values(&x), [batch, tokens, columns, 1], [tokens * columns, columns, 1]),
        dt: values(&dt),
        a: values(&a),
        b: View::new(values(&b), of_group, strides),
        c: View::new(values(&c), of_group, strides),
        d: Some(values(&d)),
        state: Some(values(&state)),
    };
    let gradient = selective_scan_gradient(Isa::best(), &scan, values(&dy), Some(values(&dstate)));
    let ScanGradient { x, dt, a, b, c, d, state } = gradient;
    let by_column = [batch, tokens, heads, head_dim];
    let dt: Tensor<4> = floats(dt, by_column, DType::F32);
    let a: Tensor<4> = floats(a, [batch, decays, heads, head_dim], DType::F32);
    let d: Tensor<3> = floats(d, [batch, heads, head_dim], DType::F32);
    let state: Tensor<4> = floats(state, [batch, states, heads, head_dim], DType::F32);
    [
        whole(floats::<4>(x, by_column, DType::F32)),
        whole(dt.sum_dim(3).squeeze_dim::<3>(3)), // [batch, tokens, heads]
        whole(a.sum_dim(0).sum_dim(3).reshape([decays, heads]).swap_dims(0, 1)), // [heads, decays]
        whole(floats::<4>(b, of_group, DType::F32)),
        whole(floats::<4>(c, of_group, DType::F32)),
        whole(d.sum_dim(0).sum_dim(2).reshape([heads])),
        whole(state.permute([0, 2, 3, 1])), // [batch, heads, head_dim, states]
    ]
}

fn values(x: &FlexTensor) -> &[f32] {
    match x.as_slice() {
        Some(values) => values,
        None => unreachable!("made contiguous, of float32"),
    }
}

/// A tensor that this file has made on flex, contiguous.
fn whole<const D: usize>(x: Tensor<D>) -> FlexTensor {
    match super::primitive(&x) {
        Some(x) => contiguous(x),
        None => unreachable!("made of flex's tensors"),
    }
}
