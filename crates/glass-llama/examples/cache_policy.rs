//! A cache policy of one's own: the last tokens, and of those before only every fourth. Prints how the model continues a
//! prompt with it, beside the model that keeps everything.
//!
//!     cargo run --release -p glass-llama --example cache_policy -- weights/shakespeare-full "ROMEO:"

use std::{env, error::Error, ops::Range};

use glass_llama::{
    Device, Llama,
    attention::{
        CacheConfig, KeyPositions, KvCache, KvSegment, KvView, LayerCache, NextTokens, Sequences,
        Unobserved, Window,
    },
    burn::tensor::{Int, Tensor},
    load,
};

/// Keeps the last `recent` tokens of one layer, and of those before every `stride`-th.
#[derive(Clone)]
struct Strided {
    recent: usize,
    stride: usize,
    /// Keys and values, each `[1, kv_heads, kept, head_dim]`.
    kept: Option<[Tensor<4>; 2]>,
    /// The position of each: `[kept]`.
    positions: Vec<i32>,
}

impl Strided {
    /// Forgets what is too old for a token at position `next`, but for every `stride`-th.
    fn thin(&mut self, next: usize) {
        let first_recent = next.saturating_sub(self.recent);
        let keeps = |position: i32| {
            let position = position as usize;
            position >= first_recent || position.is_multiple_of(self.stride)
        };
        let slots: Vec<i32> = (0..)
            .zip(&self.positions)
            .filter(|(_, position)| keeps(**position))
            .map(|(slot, _)| slot)
            .collect();
        self.positions.retain(|position| keeps(*position));
        self.kept = self.kept.take().map(|kv| {
            let slots = Tensor::<1, Int>::from_data(&slots[..], &kv[0].device()); // [kept]
            kv.map(|x| x.select(2, slots.clone())) // [1, kv_heads, kept, head_dim]
        });
    }
}

impl LayerCache for Strided {
    fn append(&mut self, k: Tensor<4>, v: Tensor<4>, positions: Range<usize>) -> KvView {
        self.thin(positions.start);
        let [k, v] = match self.kept.take() {
            Some([old_k, old_v]) => [
                Tensor::cat(vec![old_k, k], 2), // [1, kv_heads, kept + tokens, head_dim]
                Tensor::cat(vec![old_v, v], 2), // [1, kv_heads, kept + tokens, head_dim]
            ],
            None => [k, v],
        };
        self.kept = Some([k.clone(), v.clone()]);
        self.positions
            .extend(positions.map(|position| position as i32));
        let listed = Tensor::from_data(&self.positions[..], &k.device()); // [kept + tokens]
        let positions = KeyPositions::Listed(Box::new(listed));
        KvView::one(KvSegment::new(k, v, positions, Window::Full))
    }

    fn fork(&mut self, _len: usize) -> Box<dyn LayerCache> {
        Box::new(self.clone())
    }

    fn bytes(&self) -> u64 {
        let tensors = self.kept.iter().flatten();
        let values: usize = tensors.map(|x| x.shape().num_elements()).sum();
        4 * values as u64 // float32
    }
}

/// The text of the prompt and of 200 tokens that follow it, greedily; and the bytes that the cache holds then.
fn continued(
    llama: &Llama,
    mut cache: KvCache,
    prompt: &[u32],
) -> Result<(String, u64), Box<dyn Error>> {
    let mut ids = prompt.to_vec();
    for _ in 0..200 {
        let unread = &ids[cache.len()..];
        let tokens = unread.len();
        let row = llama.ids(&[unread])?; // [1, tokens]
        let mut next = [NextTokens {
            cache: &mut cache,
            tokens,
        }];
        let next = Sequences::Next(&mut next);
        let hidden = llama.model.hidden(row, next, &mut Unobserved)?; // [1, tokens, hidden_size]
        let logits = llama.model.head(hidden.narrow(1, tokens - 1, 1)); // [1, 1, vocab_size]
        ids.push(logits.argmax(2).into_scalar::<i64>() as u32);
    }
    let text = llama.tokenizer()?.decode(&ids, true)?;
    Ok((text, cache.bytes()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let folder = args.next().unwrap_or("weights/shakespeare-full".into());
    let prompt = args.next().unwrap_or("ROMEO:".into());

    let llama = load(folder, Device::open("auto")?)?;
    let prompt = llama.tokenizer()?.encode(&prompt, true)?;
    let everything = llama.cache(CacheConfig::default())?;
    let device_of = |layer| llama.model.layer_device(layer);
    let strided = KvCache::from_layers(&llama.config, device_of, llama.dtype, |_| {
        Box::new(Strided {
            recent: 32,
            stride: 4,
            kept: None,
            positions: Vec::new(),
        })
    });
    for (name, cache) in [("all tokens", everything), ("32 and every 4th", strided)] {
        let (text, bytes) = continued(&llama, cache, &prompt)?;
        println!("--- {name}, {bytes} bytes\n{text}");
    }
    Ok(())
}
