//! Policies of one's own.

use std::ops::Range;

use glass_backend::{Dtype, KvTensor};
use glass_kv_cache::{CacheError, KvCache, KvSegment, KvView, LayerCache, Window};
use glass_testing::devices;

use crate::{
    SAME,
    company::{Company, HEAD_DIM, KV_HEADS, config},
    definition::Scores,
    policy,
};

/// Keeps everything, and says nothing of going back.
#[derive(Clone, Default)]
struct Everything(Option<[KvTensor; 2]>);

impl LayerCache for Everything {
    fn append(&mut self, k: KvTensor, v: KvTensor, positions: Range<usize>) -> KvView {
        let [k, v] = match self.0.take() {
            Some([before, values]) => [KvTensor::cat(vec![before, k]), KvTensor::cat(vec![values, v])],
            None => [k, v],
        }; // [1, kv_heads, positions.end, head_dim]
        self.0 = Some([k.clone(), v.clone()]);
        KvView::one(KvSegment::run(k, v, 0..positions.end, Window::Full))
    }

    fn fork(&mut self, _len: usize) -> Box<dyn LayerCache> {
        Box::new(self.clone())
    }

    fn bytes(&self) -> u64 {
        self.0.iter().flatten().map(KvTensor::bytes).sum()
    }
}

#[test]
fn own_policies_run_in_company_and_go_back_only_if_they_say_so() {
    for device in devices::all() {
        let mut company = Company::new(None, Scores::default(), &device);
        company.join(policy("ring:3"), None);
        company.join(policy("full"), None);
        let own = |_: &_| -> Box<dyn LayerCache> { Box::<Everything>::default() };
        let mut cache = KvCache::from_layers(&config(None), |_| &device, Dtype::F32, own);
        let refused = cache.reserve_rollback(1);
        assert!(matches!(refused, Err(CacheError::OneWay { policy }) if policy.ends_with("Everything")), "{refused:?}");
        company.members[1].cache = cache;
        for (counts, seed) in [([4, 5], 1), ([1, 1], 2), ([0, 3], 3)] {
            let off = company.check(&counts, seed).off;
            assert!(off <= SAME, "{}: {off}", device.name());
        }
        company.fork(1);
        assert!(company.check(&[1, 2, 1], 4).off <= SAME);
        let bytes = |tokens: usize| (2 * tokens * KV_HEADS * HEAD_DIM * size_of::<f32>()) as u64;
        assert_eq!(company.members[1].cache.bytes(), bytes(11));
        assert_eq!(company.members[2].cache.bytes(), bytes(10));
        let (len, asked_for) = (11, 10);
        assert_eq!(company.truncate(1, asked_for), Err(CacheError::Overwritten { len, asked_for }));
    }
}
