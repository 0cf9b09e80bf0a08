//! The steps of attention are observed in the order that `Step` promises, whatever the policy.

use burn::tensor::Tensor;
use glass_attention::{ForwardContext, Observer, Step};
use glass_testing::devices;

use crate::{company::Company, definition::Scores, policy};

#[derive(Default)]
struct Steps(Vec<Step>);

impl Observer for Steps {
    fn pass(&mut self, _ctx: &ForwardContext<'_>) {
        self.0.clear();
    }

    fn done(&mut self, step: Step) {
        self.0.push(step);
    }

    fn attention(&mut self, _layer: usize, probabilities: Tensor<4>) {
        panic!("nobody asked for {:?}", probabilities.dims());
    }
}

#[test]
fn every_policy_keeps_the_order_of_steps() {
    use Step::{Attention, Cache, Output, Qkv, Rope};
    for (name, passes) in
        [("full", vec![3, 1]), ("ring:4", vec![3, 1, 5, 1]), ("sinks:2+3", vec![3, 1, 5, 1]), ("tova:4", vec![3, 1])]
    {
        let mut company = Company::new(None, Scores::default(), &devices::flex());
        company.join(policy(name), None);
        company.join(policy(name), None);
        for tokens in passes {
            let mut steps = Steps::default();
            company.feed_observed(&[tokens, tokens], 1, &mut steps);
            let expected = [Qkv, Rope, Cache, Attention, Cache, Attention, Output];
            assert_eq!(steps.0, expected, "{name}: {tokens} tokens of each of two sequences");
        }
    }
    // TOVA reads tokens one by one once it drops states.
    let mut company = Company::new(None, Scores::default(), &devices::flex());
    company.join(policy("tova:2"), None);
    let mut steps = Steps::default();
    company.feed_observed(&[4], 1, &mut steps);
    let one = [Cache, Attention];
    let expected = [&[Qkv, Rope][..], &one, &one, &one, &[Output]].concat();
    assert_eq!(steps.0, expected);
}
