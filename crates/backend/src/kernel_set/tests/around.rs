//! What products do besides, against kernels that do it alone; matrices that lie together, against each by itself.

use super::*;
use crate::{
    Around, BlockRows, HalfTensor, QuantizedRows, QuantizedTensor, SeenSlots, Then,
    quant::{BlockFormat, QuantFormat, quantize, quantize_blocks},
};

/// The matrices of one product.
enum Matrices {
    Floats(Vec<Tensor<2>>),
    Quantized(Vec<QuantizedTensor>),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Floats,
    Planar(QuantFormat),
    Blocks(BlockFormat),
    Halves(Dtype),
}

impl Matrices {
    /// Of so many rows each.
    fn new(kind: Kind, rows: &[usize], columns: usize, device: &BurnDevice, dtype: DType) -> Self {
        let values = |i: usize, rows| numbers(20 + i as u64, [rows, columns], device, DType::F32);
        let read = |x: Tensor<2>| x.into_data().try_to_vec::<f32>().expect("floats");
        let unit = if dtype == DType::F32 { Dtype::F32 } else { Dtype::F16 };
        let quantized = |(i, &rows): (usize, &usize)| {
            let values = read(values(i, rows));
            let rows = match kind {
                Kind::Halves(half) => {
                    let values = TensorData::new(values, [rows, columns]);
                    return QuantizedTensor::Halves(HalfTensor::new(values, columns, half, device_of(device)));
                }
                Kind::Blocks(format) => {
                    let mut bytes = vec![0; rows * format.row_bytes(columns)];
                    quantize_blocks(&values, columns, format, &mut bytes).expect("finite numbers");
                    let blocks = TensorData::new(bytes, [rows, format.row_bytes(columns)]);
                    QuantizedRows::Blocks(BlockRows { format, blocks })
                }
                Kind::Planar(format) => quantize(&values, columns, format).expect("finite numbers").into(),
                Kind::Floats => unreachable!("those are not quantized"),
            };
            QuantizedTensor::new(rows, columns, device_of(device), unit)
        };
        match kind {
            Kind::Floats => {
                let floats = rows.iter().enumerate().map(|(i, &rows)| values(i, rows).cast(dtype));
                Self::Floats(floats.collect())
            }
            _ => Self::Quantized(rows.iter().enumerate().map(quantized).collect()),
        }
    }

    fn laid_together(&self, kernels: KernelSet) -> Self {
        match self {
            Self::Floats(weights) => {
                let row_bytes = [weights[0].dims()[1] * weights[0].dtype().size()];
                Self::Floats(kernels.lay_together(weights, &row_bytes, u64::MAX).unwrap_or_else(|| weights.clone()))
            }
            Self::Quantized(weights) => {
                let mut weights = weights.clone();
                QuantizedTensor::lay_together(kernels, &mut weights.iter_mut().collect::<Vec<_>>(), u64::MAX);
                Self::Quantized(weights)
            }
        }
    }

    fn multiply(&self, kernels: KernelSet, x: &Tensor<2>, around: Around<'_>) -> Option<Vec<Tensor<2>>> {
        let products = match self {
            Self::Floats(weights) => kernels.matmul_t(x, &weights.iter().collect::<Vec<_>>(), around),
            Self::Quantized(weights) => kernels.matmul_t_quantized(x, &weights.iter().collect::<Vec<_>>(), around),
        };
        products.map(|products| products.into_vec())
    }

    /// One after the other.
    fn multiply_each(&self, kernels: KernelSet, x: &Tensor<2>) -> Vec<Tensor<2>> {
        let none = Around::default();
        let products: Option<Vec<_>> = match self {
            Self::Floats(weights) => weights.iter().map(|w| kernels.matmul_t(x, &[w], none)).collect(),
            Self::Quantized(weights) => weights.iter().map(|w| kernels.matmul_t_quantized(x, &[w], none)).collect(),
        };
        products.expect("kernels").into_iter().flatten().collect()
    }
}

/// Every type of matrix, and columns that it may have.
fn matrices() -> impl Strategy<Value = (Kind, usize)> {
    let groups = (1usize..12).prop_map(|groups| 32 * groups);
    let planar = select(vec![QuantFormat::Int8, QuantFormat::Int4]);
    let apart = BlockFormat::ALL.into_iter().filter(|format| format.comes_apart() && format.block_len() == 256);
    let blocks = (select(apart.collect::<Vec<_>>()), 1usize..4);
    prop_oneof![
        (1usize..300).prop_map(|columns| (Kind::Floats, columns)),
        groups.clone().prop_map(|columns| (Kind::Floats, columns)),
        (planar, groups).prop_map(|(format, columns)| (Kind::Planar(format), columns)),
        (select(vec![Dtype::BF16, Dtype::F16]), 1usize..80).prop_map(|(half, fours)| (Kind::Halves(half), 4 * fours)),
        blocks.prop_map(|(format, blocks)| (Kind::Blocks(format), 256 * blocks)),
    ]
}

/// A CPU computes in halves, and packs none.
fn has_kernel(kernels: KernelSet, kind: Kind) -> bool {
    kernels != CPU || !matches!(kind, Kind::Halves(_))
}

fn equal(what: &str, ours: Vec<Tensor<2>>, theirs: Vec<Tensor<2>>) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.len(), theirs.len(), "{}", what);
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        prop_assert_eq!(ours.into_data(), theirs.into_data(), "{}", what);
    }
    Ok(())
}

#[test]
fn matrices_that_lie_together_are_each_what_it_is_alone() {
    // Rows that make pieces which lie together without gaps, and others.
    let rows = prop_oneof![Just(64usize), Just(192), 1usize..100];
    let strategy = (matrices(), prop::collection::vec(rows, 1..=5), vectors());
    on_both(12, &strategy, |kernels, device, dtype, ((kind, columns), rows, n)| {
        if !has_kernel(kernels, kind) {
            return Ok(());
        }
        let matrices = Matrices::new(kind, &rows, columns, device, dtype);
        let x = numbers(1, [n, columns], device, dtype);
        let together = matrices.laid_together(kernels);
        let ours = together.multiply(kernels, &x, Around::default()).expect("a kernel");
        equal("product", ours, matrices.multiply_each(kernels, &x))
    });
}

#[test]
fn products_do_besides_what_kernels_do_alone() {
    let rows = prop_oneof![Just(64usize), Just(192), 1usize..100];
    let strategy = (matrices(), rows, vectors(), 0u64..9);
    on_both(9, &strategy, |kernels, device, dtype, ((kind, columns), rows, n, seed)| {
        if !has_kernel(kernels, kind) {
            return Ok(());
        }
        let matrices = Matrices::new(kind, &[rows, rows], columns, device, dtype).laid_together(kernels);
        let one = Matrices::new(kind, &[rows], columns, device, dtype);
        let x = numbers(seed, [n, columns], device, dtype);
        let weight = numbers(seed + 20, [columns], device, dtype);
        let norm = RmsNorm { eps: 1e-5, plus_one: seed % 2 == 0 };
        let gate = if seed % 3 == 0 { Gate::GeluTanh } else { Gate::Silu };
        let normed = kernels.rms_norm(&x, &weight, norm).expect("a kernel");
        // On adapters sums of squares add up in another order than in their own kernel.
        let near = |what, ours: Vec<Tensor<2>>, theirs: Vec<Tensor<2>>| {
            if kernels == CPU {
                return equal(what, ours, theirs);
            }
            let mut both = ours.into_iter().zip(theirs);
            both.try_for_each(|(ours, theirs)| close(what, Some(ours), Some(theirs), columns))
        };
        let through = Around { norm: Some((&weight, norm)), then: Then::Nothing };
        let ours = matrices.multiply(kernels, &x, through).expect("a kernel");
        near("product behind a norm", ours, matrices.multiply_each(kernels, &normed))?;

        let residual = numbers(seed + 30, [n, rows], device, dtype);
        let onto = Around { norm: None, then: Then::Add(&residual) };
        let ours = one.multiply(kernels, &x, onto).expect("a kernel");
        let product = one.multiply_each(kernels, &x).swap_remove(0);
        equal("sum", ours, vec![residual.clone() + product])?;

        for (input, norm) in [(&x, None), (&normed, Some((&weight, norm)))] {
            let ours = matrices.multiply(
                kernels,
                if norm.is_some() { &x } else { input },
                Around { norm, then: Then::Gate(gate) },
            );
            let ours = ours.expect("a kernel");
            let [of_gate, up] = matrices.multiply_each(kernels, input).try_into().expect("two products");
            near("gated", ours, vec![kernels.gate(gate, &of_gate, &up).expect("a kernel")])?;
        }
        let of_one = one.multiply(kernels, &x, Around { norm: None, then: Then::Gate(gate) });
        prop_assert!(of_one.is_none(), "a gate of one matrix");
        prop_assert!(matrices.multiply(kernels, &x, onto).is_none(), "a sum of two");
        Ok(())
    });
}

#[test]
fn what_is_kept_in_place_is_what_is_rotated_and_written() {
    let half = select(vec![1usize, 2, 3, 5, 8, 32, 40]);
    let pairs = (half, select(vec![0usize, 0, 1, 4, 6]), prop::bool::ANY);
    let strategy = (1usize..4, 1usize..4, 1usize..10, pairs, 0usize..20, prop::bool::ANY, prop::option::of(0usize..30));
    on_both(12, &strategy, |kernels, device, dtype, (kv_heads, groups, seq, pairs, slot, in_halves, from)| {
        let (half, rest, interleaved) = pairs;
        let head_dim = 2 * half + rest;
        // The CPU keeps bfloat16 as it is: another type would round it twice.
        let kept_in = if in_halves && halves(device) && dtype != DType::BF16 { DType::F16 } else { dtype };
        let heads = |seed, heads| numbers(seed, [1, seq, heads, head_dim], device, dtype).swap_dims(1, 2);
        let (q, k, v) = (heads(1, kv_heads * groups), heads(2, kv_heads), heads(3, kv_heads));
        let angles = angles(from, [1, seq, half], interleaved, device);
        let held = || [6, 7].map(|seed| numbers(seed, [1, kv_heads, slot + seq + 3, head_dim], device, kept_in));

        let rotated = |x: &Tensor<4>| kernels.rotate(x, &angles).expect("a kernel");
        let slots = [0..1, 0..kv_heads, slot..slot + seq, 0..head_dim];
        let [keys, values] = held();
        let keys = keys.slice_assign(slots.clone(), rotated(&k).cast(kept_in));
        let values = values.slice_assign(slots, v.clone().cast(kept_in));

        let mut ours = held();
        let queries = kernels.rotate_and_keep([&q, &k, &v], &angles, ours.each_mut(), slot);
        prop_assert_eq!(queries.expect("a kernel").into_data(), rotated(&q).into_data());
        for (ours, theirs) in ours.into_iter().zip([&keys, &values]) {
            prop_assert_eq!(ours.into_data(), theirs.clone().into_data());
        }

        // And what the queries find there then, where that is in the same call.
        let (positions, window) = (KeyPositions::Run { first: 0 }, (half % 2 == 0).then_some(5));
        let seen = SeenSlots { keys: slot + seq, positions, window, first_query: slot };
        let params = AttentionParams { scale: 0.3, soft_cap: interleaved.then_some(7.0), sinks: None };
        let mut kept = false;
        let mut ours = held();
        let (qkv, to) = ([&q, &k, &v], ours.each_mut());
        let found = kernels.keep_and_attend(qkv, &angles, to, slot, seen, &params, || kept = true);
        prop_assert_eq!((found.is_some(), kept), (kernels == CPU, found.is_some()));
        if let Some(found) = found {
            for (ours, theirs) in ours.into_iter().zip([&keys, &values]) {
                prop_assert_eq!(ours.into_data(), theirs.clone().into_data());
            }
            let [keys, values] = [&keys, &values].map(|x| x.clone().narrow(2, 0, slot + seq));
            let segment = KvSegment { window, ..KvSegment::new(keys, values, positions) };
            let defined = kernels.attend(&rotated(&q), &[segment], slot, &params).expect("a kernel");
            prop_assert_eq!(found.into_data(), defined.into_data());
        }

        // What others hold too is not written to, and neither is what has no such slots.
        let shared = held();
        let mut back = shared.clone();
        prop_assert!(kernels.rotate_and_keep([&q, &k, &v], &angles, back.each_mut(), slot).is_none());
        for (ours, theirs) in back.into_iter().zip(held()) {
            prop_assert_eq!(ours.into_data(), theirs.into_data());
        }
        drop(shared);
        prop_assert!(kernels.rotate_and_keep([&q, &k, &v], &angles, held().each_mut(), slot + 4).is_none());
        Ok(())
    });
}

#[test]
fn heads_are_normed_and_biased_where_they_lie() {
    let strategy = (1usize..3, 1usize..5, 1usize..10, 1usize..40, prop::bool::ANY);
    on_both(12, &strategy, |kernels, device, dtype, (batch, heads, seq, head_dim, plus_one)| {
        // As products write them: one token behind the other.
        let lies = || numbers(1, [batch, seq, heads, head_dim], device, dtype).swap_dims(1, 2);
        let (weight, bias) = (numbers(2, [head_dim], device, dtype), numbers(3, [heads * head_dim], device, dtype));
        let norm = RmsNorm { eps: 1e-5, plus_one };
        let mut normed = lies();
        let done = kernels.rms_norm_in_place(&mut normed, &weight, norm).is_some();
        prop_assert_eq!(done, kernels == CPU);
        let expected = if done { kernels.rms_norm(&lies(), &weight, norm).expect("a kernel") } else { lies() };
        prop_assert_eq!(normed.into_data(), expected.into_data());

        let mut biased = lies();
        prop_assert_eq!(kernels.add_by_head(&mut biased, &bias).is_some(), done);
        let expected = if done { lies() + bias.clone().reshape([1, heads, 1, head_dim]) } else { lies() };
        prop_assert_eq!(biased.into_data(), expected.into_data());

        // What others hold too is not changed, and neither is a bias added to what lies otherwise.
        let held = lies();
        prop_assert!(kernels.rms_norm_in_place(&mut held.clone(), &weight, norm).is_none());
        prop_assert!(kernels.add_by_head(&mut held.clone(), &bias).is_none());
        prop_assert_eq!(held.into_data(), lies().into_data());
        if heads > 1 && seq > 1 {
            let mut by_head = numbers(4, [batch, heads, seq, head_dim], device, dtype);
            prop_assert!(kernels.add_by_head(&mut by_head, &bias).is_none());
        }
        Ok(())
    });
}
