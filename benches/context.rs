//! What a long text costs: speed and memory against position, for each way to remember it.
//!
//!     cargo bench --workspace --bench context                            flex and wgpu
//!     cargo bench --workspace --bench context -- flex --longest 16384    one device, shorter texts
//!
//! All policies read the same text with the same weights, in pieces of 512 tokens, and stop at each doubling of the
//! position to decode some steps. There they take turns (A B C A B C), and with them a ring that has read W tokens and no
//! more: each ratio is to its speed in the same round, so that a machine that slows down does not bend it.

use std::{
    error::Error,
    fs,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use glass_attention::{Cache, Unobserved};
use glass_backend::{Device, Dtype};
use glass_benches::{best_and_median, noise};
use glass_causal_lm::{Llama, LogitsFor};
use glass_config::LlamaConfig;
use glass_plot::{Axes, Axis, Scale, Series, curves};

const WINDOW: usize = 256;
/// The first one stands for the window itself. Every layer attends fully but for what its policy forgets.
const POLICIES: [&str; 3] = ["ring:256", "sinks:4+252", "full"];
const SHAPE: &str = r#"{"model_type": "llama", "vocab_size": 512, "hidden_size": 256, "intermediate_size": 704,
    "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    "tie_word_embeddings": true, "max_position_embeddings": 262144}"#;

/// Where decoding is measured first. The steps of all rounds fit in before the next doubling.
const FIRST: usize = 512;
const PIECE: usize = 512;
/// Pieces whose median is the speed of reading at a position.
const LAST_PIECES: usize = 5;

const ROUNDS: usize = 11;
const STEPS: usize = 16;
/// A turn ends early where steps are slow.
const TURN: Duration = Duration::from_millis(150);

#[derive(Parser)]
struct Args {
    /// Devices, as for `glass --device`.
    #[arg(default_values_t = ["flex".to_owned(), "wgpu".to_owned()])]
    devices: Vec<String>,
    /// Last position, in tokens.
    #[arg(long, default_value_t = 131_072)]
    longest: usize,
    /// A policy stops where reading on to the next position would take it beyond so many seconds in all.
    #[arg(long, default_value_t = 45)]
    budget: u64,
    /// Draws decoding speed against position into this SVG file.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Cargo gives it.
    #[arg(long, hide = true)]
    bench: bool,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Outcome<()> {
    let config = LlamaConfig::from_json(SHAPE, "the measured shape", &[])?;
    println!(
        "hidden {}, {} layers, f32, random weights, W = {WINDOW}; read: the last {LAST_PIECES} pieces of {PIECE}; \
         decoded: best and median of {ROUNDS} rounds;\nratio: to a ring at {WINDOW} in the same rounds, median; cache: \
         bytes of keys and values, room to grow included",
        config.hidden_size, config.num_hidden_layers
    );
    let mut series = Vec::new();
    for name in &args.devices {
        match measure_device(name, &config, args) {
            Ok(rows) => series.extend(POLICIES.iter().map(|policy| {
                Series {
                    name: format!("{policy}, {name}"),
                    points: of(policy, &rows)
                        .map(|row| (row.position as f64, row.decode.1))
                        .collect(),
                }
            })),
            Err(error) => println!("\n{name}: {error}"),
        }
    }
    if let Some(path) = &args.plot {
        let log2 = |label| Axis {
            label,
            scale: Scale::Log2,
        };
        let subtitle = format!(
            "Random weights: hidden {}, {} layers, window {WINDOW}, float32.",
            config.hidden_size, config.num_hidden_layers
        );
        let axes = Axes {
            title: "Decode against position",
            subtitle: &subtitle,
            x: log2("position, tokens"),
            y: log2("decode, tokens/s"),
        };
        fs::write(path, curves(&series, &axes)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// What was measured of one policy at one position.
struct Row {
    policy: &'static str,
    position: usize,
    /// Seconds to read the text up to here.
    prefill: f64,
    /// Tokens per second of the last pieces.
    read: f64,
    /// Tokens per second, best and median.
    decode: (f64, f64),
    ratio: f64,
    bytes: u64,
}

fn of<'a>(policy: &str, rows: &'a [Row]) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |row| row.policy == policy)
}

fn measure_device(name: &str, config: &LlamaConfig, args: &Args) -> Outcome<Vec<Row>> {
    let llama = noise(config, &Device::open(name)?, Dtype::F32)?;
    let readers = || POLICIES.iter().map(|policy| Reader::new(&llama, policy));
    // Kernels are compiled and memory is touched before anything counts.
    for reader in readers() {
        let mut reader = reader?;
        reader.read_to(FIRST)?;
        reader.decode()?;
    }

    println!(
        "\n{name}: {}\nposition  policy       prefill, s  read t/s  decode t/s (median)  ratio       cache",
        llama.device.description()
    );
    let mut readers = readers().collect::<Outcome<Vec<_>>>()?;
    let mut rows: Vec<Row> = Vec::new();
    let positions = (FIRST.ilog2()..).map(|exponent| 1 << exponent);
    for position in positions.take_while(|&position| position <= args.longest) {
        let mut going_on = Vec::new();
        for mut reader in readers {
            let total = reader.prefill + reader.at_least(position);
            if total > args.budget as f64 {
                println!(
                    "{position:>8}  {:<12} stops: to read so far takes more than {total:.0} s (--budget {})",
                    reader.policy, args.budget
                );
            } else {
                reader.read_to(position)?;
                going_on.push(reader);
            }
        }
        readers = going_on;
        if readers.is_empty() {
            break;
        }
        for row in measure(&llama, &mut readers, position)? {
            println!(
                "{position:>8}  {:<12} {:>10.1} {:>9.0} {:>10.1} ({:>7.1}) {:>6.3} {:>11}",
                row.policy, row.prefill, row.read, row.decode.0, row.decode.1, row.ratio, row.bytes
            );
            rows.push(row);
        }
    }
    for policy in POLICIES {
        if let Some(line) = conclusion(policy, &rows) {
            println!("{line}");
        }
    }
    Ok(rows)
}

/// Decodes from `position` on, which all readers have reached, in turns.
fn measure(llama: &Llama, readers: &mut [Reader<'_>], position: usize) -> Outcome<Vec<Row>> {
    let bytes: Vec<u64> = readers.iter().map(|reader| reader.cache.bytes()).collect();
    let mut at_window = Reader::new(llama, POLICIES[0])?;
    at_window.read_to(WINDOW)?;
    let mut rates = vec![(Vec::new(), Vec::new()); readers.len()];
    for _ in 0..ROUNDS {
        let base = at_window.decode()?;
        for (reader, (decode, ratio)) in readers.iter_mut().zip(&mut rates) {
            let rate = reader.decode()?;
            decode.push(rate);
            ratio.push(rate / base);
        }
    }
    let measured = readers.iter().zip(bytes).zip(&mut rates);
    let rows = measured.map(|((reader, bytes), (decode, ratio))| {
        Some(Row {
            policy: reader.policy,
            position,
            prefill: reader.prefill,
            read: best_and_median(&mut reader.last_pieces())?.1,
            decode: best_and_median(decode)?,
            ratio: best_and_median(ratio)?.1,
            bytes,
        })
    });
    Ok(rows.flatten().collect())
}

/// One policy's speed and memory at the end against those at the start.
fn conclusion(policy: &str, rows: &[Row]) -> Option<String> {
    let (first, last) = (of(policy, rows).next()?, of(policy, rows).last()?);
    let constant = of(policy, rows).all(|row| row.bytes == first.bytes);
    let memory = match constant {
        true => format!("constant at {} bytes", first.bytes),
        false => format!("{} times as large", last.bytes / first.bytes),
    };
    Some(format!(
        "{policy}: at {}, decodes at {:.3} of the speed of a ring at {WINDOW}, and reads at {:.3} of its own at {}; its \
         cache is {memory}",
        last.position,
        last.ratio,
        last.read / first.read,
        first.position
    ))
}

/// A text as far as it has been read under one policy.
struct Reader<'a> {
    llama: &'a Llama,
    policy: &'static str,
    cache: Cache,
    /// Seconds that reading has taken.
    prefill: f64,
    /// Tokens and seconds of each piece since the last position.
    pieces: Vec<(usize, f64)>,
}

impl<'a> Reader<'a> {
    fn new(llama: &'a Llama, policy: &'static str) -> Outcome<Self> {
        Ok(Self {
            llama,
            policy,
            cache: llama.planned_cache(policy.parse()?, 1)?,
            prefill: 0.0,
            pieces: vec![],
        })
    }

    fn read_to(&mut self, position: usize) -> Outcome<()> {
        self.pieces.clear();
        while self.cache.seen() < position {
            // The odd piece comes first, so that the last ones are whole.
            let rest = position - self.cache.seen();
            let len = match rest % PIECE {
                0 => PIECE,
                odd => odd,
            };
            let ids = self.next_ids(len);
            let start = Instant::now();
            let ids = self.llama.ids(&[&ids])?; // [1, len]
            self.llama
                .model
                .hidden(ids, &mut self.cache, &mut Unobserved)?;
            self.llama.device.sync()?;
            self.pieces.push((len, start.elapsed().as_secs_f64()));
        }
        let tokens: usize = self.pieces.iter().map(|piece| piece.0).sum();
        let seconds: f64 = self.pieces.iter().map(|piece| piece.1).sum();
        // Since the position before, steps stood in for some of the tokens: those count as if they had been read here.
        let doubled = match position {
            FIRST => position,
            _ => position / 2,
        };
        self.prefill += seconds * doubled as f64 / tokens.max(1) as f64;
        Ok(())
    }

    /// Seconds to read on to `position` if no piece takes longer than the last one.
    fn at_least(&self, position: usize) -> f64 {
        let tokens = position - self.cache.seen();
        let last = self.pieces.last();
        last.map_or(0.0, |(len, seconds)| tokens as f64 / *len as f64 * seconds)
    }

    /// Tokens per second.
    fn last_pieces(&self) -> Vec<f64> {
        let last = self.pieces.iter().rev().take(LAST_PIECES);
        last.map(|(len, seconds)| *len as f64 / seconds).collect()
    }

    /// Tokens per second of one turn.
    fn decode(&mut self) -> Outcome<f64> {
        // Whoever had the turn before has left its own data in the processor's caches.
        self.step()?;
        let start = Instant::now();
        let mut steps = 0;
        while steps < STEPS && start.elapsed() < TURN {
            self.step()?;
            steps += 1;
        }
        Ok(steps as f64 / start.elapsed().as_secs_f64())
    }

    /// As in generation, a step ends with its logits on the host.
    fn step(&mut self) -> Outcome<()> {
        let ids = self.llama.ids(&[&self.next_ids(1)])?; // [1, 1]
        let model = &self.llama.model;
        let logits = model.forward(ids, &mut self.cache, LogitsFor::Last, &mut Unobserved)?; // [1, 1, vocab_size]
        logits
            .try_into_vec_as::<f32>()
            .map_err(|error| self.llama.device.failed(error))?;
        Ok(())
    }

    /// The same text for everybody.
    fn next_ids(&self, len: usize) -> Vec<u32> {
        let vocab = self.llama.config.vocab_size as u32;
        let seen = self.cache.seen() as u32;
        (seen..seen + len as u32)
            .map(|position| position.wrapping_mul(7919) % vocab)
            .collect()
    }
}
