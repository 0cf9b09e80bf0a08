//! Convolution, scan and retention against the formulas in float64, whole and in any pieces, on every backend.

use burn::tensor::{DType, Tensor, TensorData};
use glass_backend::{Device, KernelSet};
use glass_recurrent::{Scan, causal_conv, gamma, linear_recurrence, retain, selective_scan, softplus};
use glass_testing::{Random, devices};

/// A tensor on the host, and how it got there.
#[derive(Clone)]
struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Array {
    fn draw(random: &mut Random, shape: &[usize], value: impl Fn(f64) -> f64) -> Self {
        let values = (0..shape.iter().product()).map(|_| value(random.uniform()) as f32).collect();
        Self { shape: shape.to_vec(), values }
    }

    fn on<const D: usize>(&self, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape.clone()), (device.burn(), DType::F32))
    }

    fn at(&self, index: &[usize]) -> f64 {
        let place = index.iter().zip(&self.shape).fold(0, |place, (i, n)| place * n + i);
        f64::from(self.values[place])
    }
}

#[track_caller]
fn same<const D: usize>(found: Tensor<D>, expected: &[f64], what: &str) {
    let found = found.into_data().try_to_vec::<f32>().expect("float32");
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0f64, |largest, x| largest.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (f64::from(*found) - expected).abs();
        assert!(off <= 2e-5 * largest, "{what}: number {i} is {found}, not {expected}");
    }
}

/// Calls with a run of tokens at a time, and the state behind the run before.
fn in_pieces<const D: usize, const S: usize>(
    seq: usize,
    piece: usize,
    mut read: impl FnMut(usize, usize, Option<&Tensor<S>>) -> (Tensor<D>, Tensor<S>),
) -> (Tensor<D>, Tensor<S>) {
    let (mut out, mut state) = (Vec::new(), None);
    for start in (0..seq).step_by(piece) {
        let (y, behind) = read(start, piece.min(seq - start), state.as_ref());
        out.push(y);
        state = Some(behind);
    }
    (Tensor::cat(out, 1), state.expect("a token"))
}

#[test]
fn a_convolution_is_its_formula_in_any_pieces() {
    for (case, [batch, seq, channels, kernel]) in [[1, 1, 1, 2], [2, 9, 3, 4], [1, 5, 7, 2]].into_iter().enumerate() {
        let mut random = Random::new(case as u64);
        let mut draw = |shape: &[usize]| Array::draw(&mut random, shape, |x| x);
        let (x, weight, bias) = (draw(&[batch, seq, channels]), draw(&[channels, kernel]), draw(&[channels]));
        let input = |n, t: isize, c| if t < 0 { 0.0 } else { x.at(&[n, t as usize, c]) };
        let mut expected = Vec::new();
        for (n, t, c) in (0..batch * seq * channels).map(|i| (i / channels / seq, i / channels % seq, i % channels)) {
            let taps = (0..kernel).map(|k| weight.at(&[c, k]) * input(n, (t + k + 1) as isize - kernel as isize, c));
            expected.push(bias.at(&[c]) + taps.sum::<f64>());
        }
        for device in devices::all() {
            let (x, weight, bias) = (x.on::<3>(&device), weight.on(&device), bias.on(&device));
            for piece in [1, 2, seq] {
                let (y, tail) = in_pieces(seq, piece, |start, tokens, tail| {
                    causal_conv(x.clone().narrow(1, start, tokens), tail, &weight, Some(&bias))
                });
                same(y, &expected, &format!("{} by {piece}", device.name()));
                assert_eq!(tail.dims(), [batch, channels, kernel - 1]);
            }
        }
    }
}

#[test]
fn a_linear_recurrence_is_its_formula_in_any_pieces() {
    for (case, [batch, seq, width]) in [[1, 1, 1], [2, 9, 5], [1, 40, 3]].into_iter().enumerate() {
        let mut random = Random::new(case as u64);
        let inflow = Array::draw(&mut random, &[batch, seq, width], |x| x);
        let decay = Array::draw(&mut random, &[batch, seq, width], |x| (1.0 + x) / 2.0);
        let mut expected = vec![0.0; batch * seq * width];
        for (n, c) in (0..batch * width).map(|i| (i / width, i % width)) {
            let mut h = 0.0;
            for t in 0..seq {
                h = decay.at(&[n, t, c]) * h + inflow.at(&[n, t, c]);
                expected[(n * seq + t) * width + c] = h;
            }
        }
        for device in devices::all() {
            let (inflow, decay) = (inflow.on::<3>(&device), decay.on::<3>(&device));
            for (kernels, piece) in
                [1, 7, seq].map(|piece| [(KernelSet::NONE, piece), (device.kernel_set(), piece)]).concat()
            {
                let part = |x: &Tensor<3>, start, tokens| x.clone().narrow(1, start, tokens);
                let (h, last) = in_pieces(seq, piece, |start, tokens, state: Option<&Tensor<2>>| {
                    linear_recurrence(&part(&inflow, start, tokens), &part(&decay, start, tokens), state, kernels)
                });
                let last_of_all = part(&h, seq - 1, 1).into_data().try_to_vec::<f32>().expect("float32");
                assert_eq!(last.into_data().try_to_vec::<f32>().expect("float32"), last_of_all);
                same(h, &expected, &format!("{} by {piece}", device.name()));
            }
        }
    }
}

#[test]
fn a_scan_is_its_formula_in_any_pieces() {
    // Mamba: a head for each channel. Mamba-2: one decay for each head, groups of heads.
    for (case, [batch, seq, heads, head_dim, groups, states, decays]) in [
        [1, 1, 1, 1, 1, 1, 1],
        [2, 7, 5, 1, 1, 3, 3],
        [1, 11, 6, 4, 2, 3, 1],
        [2, 53, 3, 1, 1, 4, 4],
        [2, 48, 4, 3, 2, 2, 1],
    ]
    .into_iter()
    .enumerate()
    {
        let mut random = Random::new(case as u64);
        let x = Array::draw(&mut random, &[batch, seq, heads, head_dim], |x| x);
        let dt = Array::draw(&mut random, &[batch, seq, heads], |x| (1.0 + x) / 2.0);
        let a = Array::draw(&mut random, &[heads, decays], |x| -3.0 * (1.1 + x));
        let b = Array::draw(&mut random, &[batch, seq, groups, states], |x| x);
        let c = Array::draw(&mut random, &[batch, seq, groups, states], |x| x);
        let d = Array::draw(&mut random, &[heads], |x| x);
        let mut expected = vec![0.0; batch * seq * heads * head_dim];
        let mut behind = Vec::new();
        for (n, h, p) in
            (0..batch * heads * head_dim).map(|i| (i / head_dim / heads, i / head_dim % heads, i % head_dim))
        {
            let (mut state, group) = (vec![0.0; states], h / (heads / groups));
            for t in 0..seq {
                let (step, input) = (dt.at(&[n, t, h]), x.at(&[n, t, h, p]));
                let mut y = d.at(&[h]) * input;
                for (s, state) in state.iter_mut().enumerate() {
                    let decay = (step * a.at(&[h, s.min(decays - 1)])).exp();
                    *state = decay * *state + step * input * b.at(&[n, t, group, s]);
                    y += *state * c.at(&[n, t, group, s]);
                }
                expected[((n * seq + t) * heads + h) * head_dim + p] = y;
            }
            behind.extend(state);
        }
        for device in devices::all() {
            let scan = Scan {
                x: x.on(&device),
                dt: dt.on(&device),
                a: a.on(&device),
                b: b.on(&device),
                c: c.on(&device),
                d: Some(d.on(&device)),
            };
            // Plain operations are many, and each is slow on software Vulkan.
            let pieces = if devices::is_wgpu(&device) { vec![35] } else { vec![1, 3, 35, seq] };
            for piece in pieces {
                let (y, state) = in_pieces(seq, piece, |start, tokens, state| {
                    let part = Scan {
                        x: scan.x.clone().narrow(1, start, tokens),
                        dt: scan.dt.clone().narrow(1, start, tokens),
                        b: scan.b.clone().narrow(1, start, tokens),
                        c: scan.c.clone().narrow(1, start, tokens),
                        a: scan.a.clone(),
                        d: scan.d.clone(),
                    };
                    selective_scan(&part, state, KernelSet::NONE)
                });
                same(y, &expected, &format!("{} by {piece}", device.name()));
                same(state, &behind, &format!("state on {} by {piece}", device.name()));
            }
        }
    }
}

/// The kernel for the gradient on flex, and what ndarray records of plain operations.
#[test]
fn the_gradient_of_a_scan_is_that_of_plain_operations() {
    let open = |name| Device::open(name).expect("built in").training();
    let (kernel, plain) = (open("flex"), open("ndarray"));
    for (case, [batch, seq, heads, head_dim, groups, states, decays]) in
        [[2, 53, 6, 1, 2, 3, 3], [1, 1, 1, 1, 1, 1, 1], [2, 21, 4, 3, 2, 2, 1], [1, 5, 40, 2, 1, 2, 2]]
            .into_iter()
            .enumerate()
    {
        for (has_d, has_state) in [(true, true), (false, false)] {
            let mut random = Random::new(case as u64);
            let mut draw =
                |shape: &[usize], from: f64, scale: f64| Array::draw(&mut random, shape, |x| from + scale * x);
            let inputs = [
                draw(&[batch, seq, heads, head_dim], 0.0, 1.0),
                draw(&[batch, seq, heads], 0.5, 0.5),
                draw(&[heads, decays], -1.1, 1.0),
                draw(&[batch, seq, groups, states], 0.0, 1.0),
                draw(&[batch, seq, groups, states], 0.0, 1.0),
                draw(&[heads], 0.0, 1.0),
                draw(&[batch, heads, head_dim, states], 0.0, 1.0),
            ];
            let (by_y, by_state) = (inputs[0].clone(), draw(&[batch, heads, head_dim, states], 0.0, 1.0));
            let gradients = |device: &Device| {
                let [x, b, c, state] = [0, 3, 4, 6].map(|i: usize| inputs[i].on::<4>(device).require_grad());
                let (dt, a) = (inputs[1].on::<3>(device).require_grad(), inputs[2].on::<2>(device).require_grad());
                let d = inputs[5].on::<1>(device).require_grad();
                let scan = Scan {
                    x: x.clone(),
                    dt: dt.clone(),
                    a: a.clone(),
                    b: b.clone(),
                    c: c.clone(),
                    d: has_d.then(|| d.clone()),
                };
                let (y, behind) = selective_scan(&scan, has_state.then_some(&state), device.kernel_set());
                let sum = (y * by_y.on::<4>(device)).sum() + (behind * by_state.on::<4>(device)).sum();
                let mut found = sum.backward();
                let mut of = |x: &Tensor<4>| x.grad_remove(&mut found).map(Tensor::into_data);
                let mut all = vec![of(&x), of(&b), of(&c), of(&state)];
                all.extend([dt.grad(&found).map(Tensor::into_data), a.grad(&found).map(Tensor::into_data)]);
                all.push(d.grad(&found).map(Tensor::into_data));
                all
            };
            for (which, (found, expected)) in gradients(&kernel).into_iter().zip(gradients(&plain)).enumerate() {
                let what = format!("case {case}, gradient {which}");
                assert_eq!(found.is_some(), expected.is_some(), "{what}");
                let (Some(found), Some(expected)) = (found, expected) else { continue };
                assert_eq!(found.shape(), expected.shape(), "{what}");
                let expected: Vec<f64> = expected.iter::<f32>().map(f64::from).collect();
                same(
                    Tensor::<1>::from_data(
                        TensorData::new(found.try_to_vec::<f32>().expect("float32"), [expected.len()]),
                        (devices::flex().burn(), DType::F32),
                    ),
                    &expected,
                    &what,
                );
            }
        }
    }
}

/// The parallel form (one chunk), the recurrent one (a chunk for each token) and the chunkwise form between them.
#[test]
fn the_three_forms_of_retention_are_one() {
    for (case, [batch, seq, heads, key_dim, head_dim]) in [[1, 1, 1, 2, 1], [2, 13, 3, 4, 5]].into_iter().enumerate() {
        let mut random = Random::new(case as u64);
        let mut draw = |width| Array::draw(&mut random, &[batch, seq, heads, width], |x| x);
        let (q, k, v) = (draw(key_dim), draw(key_dim), draw(head_dim));
        let mut expected = Vec::new();
        for (n, t, h, p) in (0..batch * seq * heads * head_dim)
            .map(|i| (i / head_dim / heads / seq, i / head_dim / heads % seq, i / head_dim % heads, i % head_dim))
        {
            let seen = (0..=t).map(|j| {
                let score: f64 = (0..key_dim).map(|i| q.at(&[n, t, h, i]) * k.at(&[n, j, h, i])).sum();
                f64::from(gamma(h)).powi((t - j) as i32) * score * v.at(&[n, j, h, p])
            });
            expected.push(seen.sum());
        }
        for device in devices::all() {
            let qkv = [q.on::<4>(&device), k.on(&device), v.on(&device)];
            let last = |chunk| retain(qkv.clone(), None, chunk);
            let (_, state) = last(seq);
            let state: Vec<f64> = state.into_data().iter::<f32>().map(f64::from).collect();
            for chunk in [1, 4, seq] {
                let (y, behind) = last(chunk);
                same(y, &expected, &format!("{} by chunks of {chunk}", device.name()));
                same(behind, &state, &format!("state on {} by chunks of {chunk}", device.name()));
                let (y, _) = in_pieces(seq, 3, |start, tokens, state| {
                    retain(qkv.each_ref().map(|x| x.clone().narrow(1, start, tokens)), state, chunk)
                });
                same(y, &expected, &format!("{} by 3, chunks of {chunk}", device.name()));
            }
        }
    }
}

#[test]
fn softplus_of_large_numbers_is_finite() {
    for device in devices::all() {
        let x = Array { shape: vec![1, 5], values: vec![-100.0, -1.0, 0.0, 1.0, 100.0] };
        let expected: Vec<f64> = x.values.iter().map(|&x| f64::from(x).exp().ln_1p()).collect();
        same(softplus(x.on::<2>(&device)), &expected, device.name());
    }
}
