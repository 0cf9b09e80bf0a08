//! Recurrences and convolutions on every device against their definitions in float64, on views that are not in one piece.

use super::*;
use crate::Scan;

/// `check` on the CPU and on the adapter, in each of their types.
fn on_each<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(KernelSet, &BurnDevice, DType, S::Value) -> Result<(), TestCaseError>,
) {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let outcome = TestRunner::new(config).run(strategy, |value| check(CPU, &BurnDevice::flex(), dtype, value));
        outcome.unwrap_or_else(|error| panic!("flex, {dtype:?}: {error}"));
    }
    on_adapter(cases, strategy, check);
}

fn read<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    let values = x.clone().cast(DType::F32).into_data().try_to_vec::<f32>().expect("floats");
    values.into_iter().map(f64::from).collect()
}

/// Whether numbers are what is defined, up to their own rounding and that of sums in float32.
fn near<const D: usize>(what: &str, ours: &Tensor<D>, defined: &[f64], sums: usize) -> Result<(), TestCaseError> {
    let unit = match ours.dtype() {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        _ => Dtype::BF16,
    };
    let ours = read(ours);
    prop_assert_eq!(ours.len(), defined.len(), "{}", what);
    let largest = defined.iter().fold(1e-3, |most: f64, x| most.max(x.abs()));
    let allowed = (2.0 * unit.unit_roundoff() + (16 + sums) as f64 * 2f64.powi(-24)) * largest;
    for (at, (a, b)) in ours.iter().zip(defined).enumerate() {
        prop_assert!((a - b).abs() <= allowed, "{what}: {a} is not {b} at {at}");
    }
    Ok(())
}

/// What comes of a text in chunks: on the CPU the same bits.
fn same<const D: usize>(
    kernels: KernelSet,
    chunked: &Tensor<D>,
    whole: &Tensor<D>,
    sums: usize,
) -> Result<(), TestCaseError> {
    let whole = read(whole);
    prop_assert!(kernels != CPU || read(chunked) == whole, "other bits in chunks");
    near("in chunks", chunked, &whole, 2 * sums)
}

/// A part of a wider tensor: its rows are not behind each other.
fn narrowed<const D: usize>(seed: u64, shape: [usize; D], device: &BurnDevice, dtype: DType) -> Tensor<D> {
    let mut wide = shape;
    wide[1] += 1;
    wide[2] += 3;
    numbers(seed, wide, device, dtype).narrow(1, 1, shape[1]).narrow(2, 2, shape[2])
}

fn cat<const D: usize>(first: Tensor<D>, second: Tensor<D>) -> Tensor<D> {
    Tensor::cat(vec![first, second], 1)
}

#[test]
fn causal_conv_is_its_definition() {
    let options = (prop::bool::ANY, prop::bool::ANY, prop::bool::ANY);
    let strategy = ((1usize..3, 1usize..20, 1usize..150), 1usize..6, options, 0usize..20);
    on_each(30, &strategy, |kernels, device, dtype, ((batch, tokens, channels), taps, options, cut)| {
        let (has_tail, has_bias, silu) = options;
        let x = narrowed(1, [batch, tokens, channels], device, dtype);
        let tail = (has_tail && taps > 1).then(|| numbers(2, [batch, channels, taps - 1], device, dtype));
        // Of a type of its own, as small weights often are.
        let weight = numbers(3, [channels, taps], device, if silu { dtype } else { DType::F32 });
        let bias = has_bias.then(|| numbers(4, [channels], device, dtype));
        let conv = |x: &Tensor<3>, tail: Option<&Tensor<3>>| {
            kernels.causal_conv(x, tail, &weight, bias.as_ref(), silu).expect("a kernel")
        };
        let (y, left) = conv(&x, tail.as_ref());

        prop_assert_eq!((y.dtype(), left.dtype()), (dtype, dtype));
        prop_assert_eq!((y.dims(), left.dims()), ([batch, tokens, channels], [batch, channels, taps - 1]));
        let (inputs, before) = (read(&x), tail.as_ref().map(read));
        let input = |row: usize, channel: usize, at: usize| match at.checked_sub(taps - 1) {
            Some(token) => inputs[(row * tokens + token) * channels + channel],
            None => before.as_ref().map_or(0.0, |tail| tail[(row * channels + channel) * (taps - 1) + at]),
        };
        let (weights, biases) = (read(&weight), bias.as_ref().map(read));
        let mut defined = Vec::new();
        for at in 0..batch * tokens * channels {
            let (row, token, channel) = (at / channels / tokens, at / channels % tokens, at % channels);
            let products = (0..taps).map(|k| weights[channel * taps + k] * input(row, channel, token + k));
            let sum = products.sum::<f64>() + biases.as_ref().map_or(0.0, |bias| bias[channel]);
            defined.push(if silu { sum / (1.0 + (-sum).exp()) } else { sum });
        }
        near("convolution", &y, &defined, 4 * taps)?;
        if taps > 1 {
            let tails = batch * channels * (taps - 1);
            let place = |at: usize| (at / (taps - 1) / channels, at / (taps - 1) % channels, at % (taps - 1));
            let defined: Vec<f64> =
                (0..tails).map(place).map(|(row, channel, after)| input(row, channel, tokens + after)).collect();
            prop_assert_eq!(read(&left), defined);
        }

        let cut = cut % tokens;
        if cut > 0 {
            let (first, between) = conv(&x.clone().narrow(1, 0, cut), tail.as_ref());
            let (second, last) = conv(&x.narrow(1, cut, tokens - cut), Some(&between));
            same(kernels, &cat(first, second), &y, 4 * taps)?;
            same(kernels, &last, &left, 0)?;
        }
        Ok(())
    });
}

#[test]
fn selective_scan_is_its_definition() {
    let heads = (1usize..4, 1usize..5, prop_oneof![Just(1), 1usize..40]);
    let options = (prop::bool::ANY, prop::bool::ANY, prop::bool::ANY);
    let strategy = ((1usize..3, 1usize..12), heads, 1usize..40, options, 0usize..20);
    on_each(30, &strategy, |kernels, device, dtype, ((batch, tokens), heads, states, options, cut)| {
        if is_least(device) {
            return Ok(()); // the kernel binds more: plain operations compute there
        }
        let (groups, per_group, head_dim) = heads;
        let (alike, has_d, has_state) = options;
        let heads = groups * per_group * if head_dim == 1 { 9 } else { 1 };
        let x = narrowed(1, [batch, tokens, heads, head_dim], device, dtype);
        let dt = numbers(2, [batch, tokens, heads], device, DType::F32) * 0.5 + 0.5;
        let a = numbers(3, [heads, if alike { 1 } else { states }], device, DType::F32) * 2.0 - 2.0;
        let [b, c] = [4, 5].map(|seed| narrowed(seed, [batch, tokens, groups, states], device, dtype));
        let d = has_d.then(|| numbers(6, [heads], device, dtype));
        let state = has_state.then(|| numbers(7, [batch, heads, head_dim, states], device, DType::F32));
        let run = |from: usize, len: usize, state: Option<&Tensor<4>>| {
            let part = |x: &Tensor<4>| x.clone().narrow(1, from, len);
            let dt = dt.clone().narrow(1, from, len);
            let (x, b, c) = (part(&x), part(&b), part(&c));
            let scan = Scan { x: &x, dt: &dt, a: &a, b: &b, c: &c, d: d.as_ref(), state };
            kernels.selective_scan(&scan).expect("a kernel")
        };
        let (y, left) = run(0, tokens, state.as_ref());

        prop_assert_eq!((y.dtype(), left.dtype()), (dtype, DType::F32));
        prop_assert_eq!((y.dims(), left.dims()), (x.dims(), [batch, heads, head_dim, states]));
        let (xs, dts, decays, bs, cs) = (read(&x), read(&dt), read(&a), read(&b), read(&c));
        let ds = d.as_ref().map(read);
        let mut kept = state.as_ref().map_or(vec![0.0; batch * heads * head_dim * states], read);
        let mut defined = vec![0.0; batch * tokens * heads * head_dim];
        for column in 0..batch * heads * head_dim {
            let (row, head, p) = (column / head_dim / heads, column / head_dim % heads, column % head_dim);
            let kept = &mut kept[column * states..][..states];
            for token in 0..tokens {
                let at = (row * tokens + token) * heads + head;
                let group = (row * tokens + token) * groups + head / (heads / groups);
                let x = xs[at * head_dim + p];
                let mut sum = ds.as_ref().map_or(0.0, |d| d[head] * x);
                for (n, kept) in kept.iter_mut().enumerate() {
                    let a = if alike { decays[head] } else { decays[head * states + n] };
                    *kept = (dts[at] * a).exp() * *kept + dts[at] * x * bs[group * states + n];
                    sum += cs[group * states + n] * *kept;
                }
                defined[at * head_dim + p] = sum;
            }
        }
        near("scan", &y, &defined, 8 * tokens + states)?;
        near("state", &left, &kept, 8 * tokens)?;

        let cut = cut % tokens;
        if cut > 0 {
            let (first, between) = run(0, cut, state.as_ref());
            let (second, last) = run(cut, tokens - cut, Some(&between));
            same(kernels, &cat(first, second), &y, 8 * tokens + states)?;
            same(kernels, &last, &left, 8 * tokens)?;
        }
        Ok(())
    });
}

#[test]
fn softplus_is_its_definition() {
    // Graphics adapters have none.
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let device = BurnDevice::flex();
        let x = narrowed(1, [2, 7, 33], &device, dtype) * 9.0;
        let bias = numbers(2, [33], &device, DType::F32);
        let out = CPU.softplus(&x, &bias).expect("a kernel");
        assert_eq!((out.dims(), out.dtype()), (x.dims(), DType::F32));
        let biases = read(&bias);
        let defined: Vec<f64> =
            read(&x).iter().enumerate().map(|(at, x)| (x + biases[at % 33]).exp().ln_1p()).collect();
        near("softplus", &out, &defined, 0).expect("near");
    }
}

#[test]
fn linear_recurrence_is_its_definition() {
    let strategy = (1usize..3, 1usize..30, 1usize..200, prop::bool::ANY, 0usize..30);
    on_each(20, &strategy, |kernels, device, _, (batch, tokens, width, has_state, cut)| {
        let a = narrowed(1, [batch, tokens, width], device, DType::F32) * 0.5 + 0.5;
        let u = narrowed(2, [batch, tokens, width], device, DType::F32);
        let state = has_state.then(|| numbers(3, [batch, width], device, DType::F32));
        let run = |from: usize, len: usize, state: Option<&Tensor<2>>| {
            let part = |x: &Tensor<3>| x.clone().narrow(1, from, len);
            kernels.linear_recurrence(&part(&a), &part(&u), state).expect("a kernel")
        };
        let (h, last) = run(0, tokens, state.as_ref());
        prop_assert_eq!((h.dims(), last.dims()), ([batch, tokens, width], [batch, width]));
        let (decays, added) = (read(&a), read(&u));
        let mut kept = state.as_ref().map_or(vec![0.0; batch * width], read);
        let mut defined = Vec::new();
        for at in 0..batch * tokens * width {
            let kept = &mut kept[at / width / tokens * width + at % width];
            *kept = decays[at] * *kept + added[at];
            defined.push(*kept);
        }
        near("recurrence", &h, &defined, 4 * tokens)?;
        near("what is left", &last, &kept, 4 * tokens)?;
        let cut = cut % tokens;
        if cut > 0 {
            let (first, between) = run(0, cut, state.as_ref());
            let (second, end) = run(cut, tokens - cut, Some(&between));
            same(kernels, &cat(first, second), &h, 4 * tokens)?;
            same(kernels, &end, &last, 4 * tokens)?;
        }
        Ok(())
    });
}
