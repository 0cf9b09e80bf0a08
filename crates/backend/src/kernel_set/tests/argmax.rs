//! The most probable token, against a search on the host.

use super::*;

#[test]
fn argmax_is_that_of_the_host() {
    let odd = select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 3.5]);
    let odd = prop::collection::vec((0usize..20_000, odd), 0..4);
    let strategy = (1usize..4, 1usize..20_000, 0u64..1000, odd);
    on_adapter(20, &strategy, |kernels, device, _, (n, vocab, seed, odd)| {
        let mut logits = numbers(seed, [n, vocab], device, DType::F32).into_data().try_to_vec::<f32>().expect("floats");
        // Some occur more than once, and some are no logits.
        logits.iter_mut().for_each(|logit| *logit = (*logit * 64.0).round());
        for (at, value) in odd {
            let len = logits.len();
            logits[at % len] = value;
        }
        check_argmax(kernels, device, &logits, [n, vocab])
    });
}

#[test]
fn argmax_of_impossible_tokens() {
    on_adapter(1, &Just(()), |kernels, device, _, ()| {
        for vocab in [1, 5000] {
            check_argmax(kernels, device, &vec![f32::NEG_INFINITY; vocab], [1, vocab])?;
            check_argmax(kernels, device, &vec![-0.0; vocab], [1, vocab])?;
        }
        let none = Tensor::<2>::zeros([0, 7], device);
        prop_assert!(kernels.argmax(&none).is_none());
        Ok(())
    });
}

fn check_argmax(
    kernels: KernelSet,
    device: &BurnDevice,
    logits: &[f32],
    [n, vocab]: [usize; 2],
) -> Result<(), TestCaseError> {
    let data = TensorData::new(logits.to_vec(), [n, vocab]);
    let best = kernels.argmax(&Tensor::from_data(data, device)).expect("a kernel");
    prop_assert_eq!(best.dims(), [n, 3]);
    let best = best.into_data().try_to_vec::<f32>().expect("floats");
    for (row, best) in logits.chunks(vocab).zip(best.chunks(3)) {
        let no_logit = |logit: &f32| logit.is_nan() || *logit == f32::INFINITY;
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let id = row.iter().position(no_logit);
        let id = id.or_else(|| row.iter().position(|logit| *logit == highest));
        let id = id.expect("one is the highest");
        prop_assert_eq!(best[0] as usize, id);
        let same = best[1] == row[id] || best[1].is_nan() && row[id].is_nan();
        prop_assert!(same, "{} is not {}", best[1], row[id]);
        if row[id].is_finite() {
            let weight = |logit: &f32| f64::from(logit - row[id]).exp();
            let expected = -row.iter().map(weight).sum::<f64>().ln();
            let off = (f64::from(best[2]) - expected).abs();
            prop_assert!(off <= 1e-4, "{} is not {expected}", best[2]);
        }
    }
    Ok(())
}
