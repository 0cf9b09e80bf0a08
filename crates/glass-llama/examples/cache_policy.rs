//! A cache policy of one's own: each layer keeps the first tokens of a text and the last.
//!
//!     cargo run --release -p glass-llama --example cache_policy
//!
//! That is StreamingLLM (arXiv:2309.17453) without its count of positions within the cache: here a distance is that in the
//! text, however far the first tokens are behind.

use std::{
    error::Error,
    num::NonZeroUsize,
    ops::{ControlFlow, Range},
    path::Path,
};

use glass_llama::{
    Device, GenerateOptions, Lane, Llama, Progress,
    generate::generate_from,
    kv_cache::{CacheConfig, KvSegment, KvTensor, KvView, LayerCache, Window},
};

const FIRST: usize = 4;
const LAST: NonZeroUsize = NonZeroUsize::new(28).unwrap();

/// What one layer keeps of one sequence.
#[derive(Clone, Default)]
struct FirstAndLast {
    /// Keys and values of the first tokens and, behind them, of the last: each `[1, kv_heads, kept, head_dim]`.
    kept: Option<[KvTensor; 2]>,
}

impl LayerCache for FirstAndLast {
    /// Keys come rotated by their positions in the text.
    fn append(&mut self, k: KvTensor, v: KvTensor, positions: Range<usize>) -> KvView {
        // The policies of the library write in place; this one copies, to be short.
        let [k, v] = match self.kept.take() {
            Some([old_k, old_v]) => [KvTensor::cat(vec![old_k, k]), KvTensor::cat(vec![old_v, v])],
            None => [k, v],
        }; // [1, kv_heads, held, head_dim]
        let held = k.keys();

        // One softmax runs over all segments. A window hides, of the last tokens, those that a query no longer sees: the
        // first queries of a long chunk see other ones than its last.
        let first = FIRST.min(held);
        let mut segments = vec![segment(&k, &v, 0..first, 0, Window::Full)];
        if held > first {
            let position = positions.end - (held - first);
            let window = Window::Last(LAST);
            segments.push(segment(&k, &v, first..held, position, window));
        }

        // The next token attends to itself and to the LAST - 1 before it.
        let before = LAST.get() - 1;
        let forget = |x: KvTensor| {
            if held <= FIRST + before {
                return x;
            }
            let (first, last) = (slots(&x, 0..FIRST), slots(&x, held - before..held));
            KvTensor::cat(vec![first, last]) // [1, kv_heads, FIRST + LAST - 1, head_dim]
        };
        self.kept = Some([k, v].map(forget));
        KvView { segments }
    }

    fn fork(&mut self, _len: usize) -> Box<dyn LayerCache> {
        Box::new(self.clone())
    }

    fn bytes(&self) -> u64 {
        self.kept.iter().flatten().map(KvTensor::bytes).sum()
    }
}

/// The keys and values in these slots, which begin at `position`.
fn segment(k: &KvTensor, v: &KvTensor, range: Range<usize>, position: usize, window: Window) -> KvSegment {
    let run = position..position + range.len();
    KvSegment::run(slots(k, range.clone()), slots(v, range), run, window)
}

/// `[1, kv_heads, held, head_dim]` -> `[1, kv_heads, slots, head_dim]`
fn slots(x: &KvTensor, slots: Range<usize>) -> KvTensor {
    x.clone().narrow(slots.start, slots.len())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("weights/shakespeare-full");
    let llama = Llama::open(folder, Device::open("auto")?)?;
    let prompt = llama.tokenizer()?.encode_prompt("ROMEO:")?;
    let options = GenerateOptions::new(200); // greedy: only the cache makes a difference

    let own = llama.cache_from_layers(|_| Box::<FirstAndLast>::default()); // in every layer
    for (name, cache) in
        [("everything", llama.cache(CacheConfig::default())?), ("the first 4 tokens and the last 28", own)]
    {
        let lane = Lane::from_cache(cache, options.prefill.prefill_chunk);
        let goes_on = &mut |_: Progress<'_>| ControlFlow::Continue(());
        let (generated, _) = generate_from(&llama, lane, &prompt, &options, goes_on)?;
        println!("--- {name}: {} bytes", generated.cache_bytes);
        println!("ROMEO:{}\n", generated.text.unwrap_or_default());
    }
    Ok(())
}
