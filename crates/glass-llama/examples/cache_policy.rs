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
    /// Forgets what lies before the tokens that begin at `start`, but for every `stride`-th.
    fn thin(&mut self, start: usize) {
        let recent = start.saturating_sub(self.recent);
        let keeps = |position: usize| position >= recent || position.is_multiple_of(self.stride);
        let slots = 0..self.positions.len();
        let slots: Vec<i32> = slots
            .filter(|&slot| keeps(self.positions[slot] as usize))
            .map(|slot| slot as i32)
            .collect();
        let Some([k, _]) = &self.kept else { return };
        let indices = Tensor::<1, Int>::from_data(&slots[..], &k.device()); // [kept]
        self.kept = self
            .kept
            .take()
            .map(|kv| kv.map(|x| x.select(2, indices.clone())));
        self.positions = slots
            .iter()
            .map(|&slot| self.positions[slot as usize])
            .collect();
    }
}

impl LayerCache for Strided {
    fn append(&mut self, k: Tensor<4>, v: Tensor<4>, positions: Range<usize>) -> KvView {
        self.thin(positions.start);
        let new = [k, v]; // [1, kv_heads, tokens, head_dim]
        let [k, v] = match self.kept.take() {
            Some([k, v]) => {
                let [new_k, new_v] = new;
                [
                    Tensor::cat(vec![k, new_k], 2),
                    Tensor::cat(vec![v, new_v], 2),
                ]
            }
            None => new,
        }; // [1, kv_heads, kept, head_dim]
        self.positions
            .extend(positions.map(|position| position as i32));
        let listed = Tensor::from_data(&self.positions[..], &k.device()); // [kept]
        self.kept = Some([k.clone(), v.clone()]);
        let positions = KeyPositions::Listed(Box::new(listed));
        KvView::one(KvSegment::new(k, v, positions, Window::Full))
    }

    /// Only as long as nothing was forgotten.
    fn can_truncate(&self, len: usize) -> bool {
        len == 0
            || self
                .positions
                .iter()
                .zip(0..)
                .all(|(&position, slot)| position == slot)
    }

    fn truncate(&mut self, len: usize) {
        self.positions.truncate(len);
        let kept = self.kept.take().filter(|_| len > 0);
        self.kept = kept.map(|kv| kv.map(|x| x.narrow(2, 0, len)));
    }

    fn fork(&mut self, _len: usize) -> Box<dyn LayerCache> {
        Box::new(self.clone())
    }

    fn states(&self, tokens: usize) -> usize {
        tokens
    }
}

/// Greedy: 200 tokens behind the prompt.
fn continued(llama: &Llama, mut cache: KvCache, prompt: &[u32]) -> Result<String, Box<dyn Error>> {
    let mut ids = prompt.to_vec();
    for _ in 0..200 {
        let unread = &ids[cache.len()..];
        let tokens = unread.len();
        let tensor = llama.ids(&[unread])?; // [1, tokens]
        let cache = &mut cache;
        let next = &mut [NextTokens { cache, tokens }];
        let hidden = llama
            .model
            .hidden(tensor, Sequences::Next(next), &mut Unobserved)?; // [1, tokens, hidden_size]
        let logits = llama.model.head(hidden.narrow(1, tokens - 1, 1)); // [1, 1, vocab_size]
        ids.push(logits.argmax(2).into_scalar::<i64>() as u32);
    }
    Ok(llama.tokenizer()?.decode(&ids, true)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let folder = args.next().unwrap_or("weights/shakespeare-full".into());
    let prompt = args.next().unwrap_or("ROMEO:".into());

    let llama = load(folder, Device::open("auto")?)?;
    let prompt = llama.tokenizer()?.encode(&prompt, true)?;
    let everything = llama.cache(CacheConfig::default())?;
    let strided = KvCache::with_layers(&llama.config, || {
        Box::new(Strided {
            recent: 32,
            stride: 4,
            kept: None,
            positions: Vec::new(),
        })
    });
    println!(
        "--- everything\n{}",
        continued(&llama, everything, &prompt)?
    );
    println!(
        "--- 32 and every 4th\n{}",
        continued(&llama, strided, &prompt)?
    );
    Ok(())
}
