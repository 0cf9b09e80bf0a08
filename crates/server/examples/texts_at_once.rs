//! How much faster many texts are written together than one: `texts_at_once FOLDER [PROMPT_TOKENS NEW_TOKENS STEP_TOKENS]`.
//!
//! Each line is one load: so many texts with prompts of their own, all at once.

use std::{
    env,
    error::Error,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use glass_backend::Device;
use glass_generate::{GenerateOptions, Llama};
use glass_server::engine::{Event, Request, Service, ServiceOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let folder = args.first().ok_or("a model's folder is missing")?;
    let number = |index: usize, default: usize| args.get(index).map_or(Ok(default), |text| text.parse());
    let (prompt, new, step) = (number(1, 32)?, number(2, 32)?, number(3, 256)?);
    let llama = Llama::open(Path::new(folder), Device::open("auto")?)?;
    let options = ServiceOptions {
        parallel: 64.try_into()?,
        step_tokens: step.try_into()?,
        cache_memory: 0,
        ..ServiceOptions::default()
    };
    let service = Service::start(llama, options)?;
    println!("texts  new tokens/s  of one  first token s  between tokens ms");
    // Weights come from the disk, and threads begin.
    load(&service, 1, prompt, 2);
    let mut one = None;
    for texts in [1, 4, 16, 64] {
        let [wall, first, gap] = load(&service, texts, prompt, new);
        let speed = (texts * new) as f64 / wall;
        let ratio = speed / *one.get_or_insert(speed);
        println!("{texts:5}  {speed:12.1}  {ratio:6.2}  {first:13.2}  {:17.1}", gap * 1e3);
    }
    Ok(())
}

/// Seconds until all texts are written; until the first token, on average; and between tokens, the median.
fn load(service: &Service, texts: usize, prompt: usize, new: usize) -> [f64; 3] {
    let vocabulary = service.llama().config.vocab_size;
    let start = Instant::now();
    let clients: Vec<(Duration, Vec<Duration>)> = thread::scope(|scope| {
        let client = |text: usize| {
            scope.spawn(move || {
                let ids = (0..prompt).map(|at| ((text * 7919 + at * 104_729 + 17) % vocabulary) as u32).collect();
                let request = Request { ids, options: GenerateOptions::new(new), prompt_logprobs: None, n: 1 };
                let Ok(mut ticket) = service.submit(request) else { return (Duration::ZERO, Vec::new()) };
                let mut times = Vec::new();
                while let Some(event) = ticket.wait_next() {
                    if let Event::Token { .. } = event {
                        times.push(start.elapsed());
                    }
                }
                let gaps = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
                (times.first().copied().unwrap_or_default(), gaps)
            })
        };
        let clients: Vec<_> = (0..texts).map(client).collect();
        clients.into_iter().filter_map(|client| client.join().ok()).collect()
    });
    let wall = start.elapsed().as_secs_f64();
    let first = clients.iter().map(|(first, _)| first.as_secs_f64()).sum::<f64>() / texts as f64;
    let mut gaps: Vec<f64> = clients.iter().flat_map(|(_, gaps)| gaps).map(Duration::as_secs_f64).collect();
    gaps.sort_unstable_by(f64::total_cmp);
    [wall, first, gaps.get(gaps.len() / 2).copied().unwrap_or(0.0)]
}
