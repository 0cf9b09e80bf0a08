//! What comes in place of attention, kernel by kernel: scans, recurrences and short convolutions, beside attention itself.
//!
//!     cargo bench -p glass-benches --bench recurrences                  flex
//!     cargo bench -p glass-benches --bench recurrences -- flex wgpu     chosen devices
//!
//! Each kernel is that of one layer of a model of about 50 M parameters, in float32. A prompt is 2,048 tokens, whose attention
//! is the yardstick. A token is decoded with the states of so many layers that no cache holds them all: its speed is in
//! bytes of state, read and written, beside the best reader of the machine. Kernels take turns; every figure is the best of
//! some rounds.

use std::{env, process::ExitCode, time::Instant};

use burn::tensor::{Distribution, Tensor};
use glass_backend::{AttentionParams, Device, DeviceError, Dtype, KernelSet, KeyPositions, KvSegment, Scan};
use glass_bench::{BUFFER, PASSES, host_bandwidth};

const PROMPT: usize = 2048;
const ROUNDS: usize = 7;
/// Bytes of the states of all layers together, and how many layers there are at most.
const STATES: usize = 256 << 20;
const MAX_LAYERS: usize = 1024;

/// Width of the layers that all kernels are part of.
const HIDDEN: usize = 768;

#[derive(Clone, Copy)]
enum Layer {
    /// Heads.
    Attention(usize),
    Scan {
        heads: usize,
        head_dim: usize,
        groups: usize,
        states: usize,
        /// Whether all states of a head decay alike.
        alike: bool,
    },
    Recurrence {
        width: usize,
    },
    Conv {
        channels: usize,
        taps: usize,
    },
}

const LAYERS: [(&str, Layer); 6] = [
    ("attention", Layer::Attention(12)),
    ("Mamba", Layer::Scan { heads: 2 * HIDDEN, head_dim: 1, groups: 1, states: 16, alike: false }),
    ("Mamba-2", Layer::Scan { heads: 24, head_dim: 64, groups: 1, states: 128, alike: true }),
    ("retention", Layer::Scan { heads: 3, head_dim: 512, groups: 3, states: 256, alike: true }),
    ("RG-LRU", Layer::Recurrence { width: HIDDEN }),
    ("convolution", Layer::Conv { channels: 2 * HIDDEN, taps: 4 }),
];

fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let names = if names.is_empty() { vec!["flex".to_owned()] } else { names };
    for name in names {
        if let Err(error) = measure(&name) {
            eprintln!("{name}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(name: &str) -> Result<(), DeviceError> {
    let device = Device::open(name)?;
    println!("\n{name}: {}", device.description());
    println!("{:<14}{:>16}{:>12}{:>14}{:>10}{:>10}", "", "prompt, t/s", "/attention", "token, us", "GB/s", "/reader");
    let mut prompts: Vec<_> = LAYERS.iter().map(|(_, layer)| layer.prepare(&device, PROMPT, 1)).collect();
    let mut tokens: Vec<_> = LAYERS.iter().map(|(_, layer)| layer.prepare(&device, 1, layer.count())).collect();
    let mut best = [[f64::INFINITY; 2]; LAYERS.len()];
    let mut reader = 0.0_f64;
    for _ in 0..ROUNDS {
        for ((prompt, token), best) in prompts.iter_mut().zip(&mut tokens).zip(&mut best) {
            for (work, best) in [prompt, token].into_iter().zip(best) {
                let start = Instant::now();
                work();
                device.sync()?;
                *best = best.min(start.elapsed().as_secs_f64());
            }
        }
        reader = reader.max(host_bandwidth(BUFFER, PASSES / 4).unwrap_or(0.0));
    }
    let attention = best[0][0];
    for ((name, layer), [prompt, token]) in LAYERS.iter().zip(best) {
        print!("{name:<14}{:>16.0}{:>12.2}", PROMPT as f64 / prompt, attention / prompt);
        let (bytes, layers) = (layer.state_bytes(), layer.count());
        if bytes > 0 {
            print!("{:>14.1}", token / layers as f64 * 1e6);
        }
        // Smaller states stay in a cache.
        if layers < MAX_LAYERS && bytes > 0 {
            let rate = (2 * layers * bytes) as f64 / token;
            print!("{:>10.1}{:>10.2}", rate / 1e9, rate / reader);
        }
        println!();
    }
    println!("reader: {:.1} GB/s", reader / 1e9);
    Ok(())
}

impl Layer {
    /// Bytes of what a layer keeps of a text, whatever its length.
    fn state_bytes(self) -> usize {
        4 * match self {
            Self::Attention(_) => 0,
            Self::Scan { heads, head_dim, states, .. } => heads * head_dim * states,
            Self::Recurrence { width } => width,
            Self::Conv { channels, taps } => channels * (taps - 1),
        }
    }

    /// Layers that a token is decoded with.
    fn count(self) -> usize {
        STATES.checked_div(self.state_bytes()).unwrap_or(1).min(MAX_LAYERS)
    }

    /// A pass of so many tokens through so many layers with states of their own, each of which follows its last pass.
    fn prepare(self, device: &Device, tokens: usize, layers: usize) -> Box<dyn FnMut()> {
        let kernels = device.kernel_set();
        let device = device.clone();
        match self {
            Self::Attention(heads) => {
                let [q, k, v] = [(); 3].map(|()| random(&device, [1, tokens, heads, HIDDEN / heads]).swap_dims(1, 2));
                let segment = KvSegment::new(k, v, KeyPositions::Run { first: 0 });
                let params = AttentionParams { scale: 0.125, soft_cap: None, sinks: None };
                Box::new(move || drop(kernels.attend(&q, std::slice::from_ref(&segment), 0, &params)))
            }
            Self::Scan { heads, head_dim, groups, states, alike } => {
                let x = random(&device, [1, tokens, heads, head_dim]);
                let dt = random(&device, [1, tokens, heads]).abs();
                let a = -random(&device, [heads, if alike { 1 } else { states }]).abs();
                let [b, c] = [(); 2].map(|()| random(&device, [1, tokens, groups, states]));
                let d = random(&device, [heads]);
                let mut kept: Vec<Option<Tensor<4>>> = vec![None; layers];
                Box::new(move || {
                    for kept in &mut kept {
                        let scan = Scan { x: &x, dt: &dt, a: &a, b: &b, c: &c, d: Some(&d), state: kept.as_ref() };
                        *kept = selective_scan(kernels, &scan);
                    }
                })
            }
            Self::Recurrence { width } => {
                let [a, u] = [(); 2].map(|()| random(&device, [1, tokens, width]).abs());
                let mut kept: Vec<Option<Tensor<2>>> = vec![None; layers];
                Box::new(move || {
                    for kept in &mut kept {
                        *kept = kernels.linear_recurrence(&a, &u, kept.as_ref()).map(|(_, last)| last);
                    }
                })
            }
            Self::Conv { channels, taps } => {
                let x = random(&device, [1, tokens, channels]);
                let weight = random(&device, [channels, taps]);
                let bias = random(&device, [channels]);
                let mut kept: Vec<Option<Tensor<3>>> = vec![None; layers];
                Box::new(move || {
                    for kept in &mut kept {
                        let y = kernels.causal_conv(&x, kept.as_ref(), &weight, Some(&bias), true);
                        *kept = y.map(|(_, tail)| tail);
                    }
                })
            }
        }
    }
}

/// The new state.
fn selective_scan(kernels: KernelSet, scan: &Scan<'_>) -> Option<Tensor<4>> {
    kernels.selective_scan(scan).map(|(_, state)| state)
}

fn random<const D: usize>(device: &Device, shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), (device.burn(), Dtype::F32.burn()))
}
