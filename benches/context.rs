//! What a long text costs: speed and memory against position, for each way to remember it.
//!
//!     cargo bench -p glass-benches --bench context                            flex and wgpu
//!     cargo bench -p glass-benches --bench context -- flex --longest 16384    one device, shorter texts
//!     cargo bench -p glass-benches --bench context -- flex --mixers           kinds of model, not cache policies of one
//!
//! All read the same text in pieces of 512 tokens, and stop at each doubling of the position to decode some steps. There they
//! take turns (A B C C B A), and with them the first of them, a window or a ring, that has read W tokens and no more: each
//! ratio is to its speed in the same round, so that a machine that slows down does not bend it.

use std::{fs, iter, path::PathBuf, process::ExitCode};

use clap::Parser;
use glass_backend::Device;
use glass_benches::{
    Reader, best_and_median,
    contenders::{Contender, Field, MIXERS, POLICIES},
    reader::{self, Outcome},
};
use glass_plot::{Axis, PlotError, Scale, Series, curves};

/// Where decoding is measured first. The steps of all rounds fit in before the next doubling.
const FIRST: usize = 512;

const ROUNDS: usize = 11;

#[derive(Parser)]
struct Args {
    /// Devices, as for `glass --device`.
    #[arg(default_values_t = ["flex".to_owned(), "wgpu".to_owned()])]
    devices: Vec<String>,
    /// Last position, in tokens.
    #[arg(long, default_value_t = 131_072)]
    longest: usize,
    /// Measures kinds of model of one size (attention with a window and without, Mamba, Samba, RetNet).
    #[arg(long)]
    mixers: bool,
    /// Whoever is slow stops where reading on to the next position would take it beyond so many seconds in all.
    #[arg(long, default_value_t = 30)]
    budget: u64,
    /// Draws decoding speed against position into this SVG file.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Cargo gives it.
    #[arg(long, hide = true)]
    bench: bool,
}

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
    let field = if args.mixers { MIXERS } else { POLICIES };
    println!("{}, f32, random weights, W = {}", field.about, field.window);
    println!(
        "read: median of the last {} pieces of {}; decode: best (median) of {ROUNDS} rounds;",
        reader::LAST_PIECES,
        reader::PIECE
    );
    let (first, window) = (field.names().next().unwrap_or_default(), field.window);
    println!("ratio: to {first} at {window} in the same rounds, median; cache: bytes, room to grow included");
    let mut series = Vec::new();
    for name in &args.devices {
        match measure_device(name, field, args) {
            Ok(rows) => series.extend(field.names().map(|who| Series {
                name: format!("{who}, {name}"),
                points: of(who, &rows).map(|row| (row.position as f64, row.decode.1)).collect(),
                bars: vec![],
            })),
            Err(error) => println!("\n{name}: {error}"),
        }
    }
    if let Some(path) = &args.plot {
        fs::write(path, picture(&series, field)?).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Both axes in doublings: what is halved by each doubling falls as a straight line.
fn picture(series: &[Series], field: Field) -> Result<String, PlotError> {
    let log2 = |label| Axis { label, scale: Scale::Log2 };
    let Field { about, window, .. } = field;
    let subtitle = format!("Random weights: {about}, window {window}, float32. Median of {ROUNDS} rounds.");
    let axes = [log2("position, tokens"), log2("decode, tokens/s")];
    curves(series, axes, "Decode against position", &subtitle)
}

/// What was measured of one contender at one position.
struct Row {
    name: &'static str,
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

fn of<'a>(name: &str, rows: &'a [Row]) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |row| row.name == name)
}

fn measure_device(name: &str, field: Field, args: &Args) -> Outcome<Vec<Row>> {
    let device = Device::open(name)?;
    let contenders = field.open(&device)?;
    println!(
        "\n{name}: {}\nposition  {:<12} prefill, s  read t/s  decode t/s (median)  ratio       cache",
        device.description(),
        if args.mixers { "mixer" } else { "policy" }
    );
    let readers = || contenders.iter().map(Contender::reader);
    // KernelMode are compiled and memory is touched before anything counts.
    for reader in readers() {
        let mut reader = reader?;
        reader.read_to(FIRST)?;
        reader.decode()?;
    }

    let mut readers = readers().collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<Row> = Vec::new();
    let positions = (FIRST.ilog2()..).map(|exponent| 1 << exponent);
    for position in positions.take_while(|&position| position <= args.longest) {
        let mut going_on = Vec::new();
        for mut reader in readers {
            let total = reader.prefill() + reader.at_least(position);
            if total > args.budget as f64 {
                println!(
                    "{position:>8}  {:<12} stops: to read so far takes more than {total:.0} s (--budget {})",
                    reader.name(),
                    args.budget
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
        for row in measure(&contenders[0], field.window, &mut readers, position)? {
            println!(
                "{position:>8}  {:<12} {:>10.2} {:>9.0} {:>10.1} ({:>7.1}) {:>6.3} {:>11}",
                row.name, row.prefill, row.read, row.decode.0, row.decode.1, row.ratio, row.bytes
            );
            rows.push(row);
        }
    }
    for name in field.names() {
        if let Some(line) = conclusion(name, field, &rows) {
            println!("{line}");
        }
    }
    Ok(rows)
}

/// Decodes from `position` on, which all readers have reached, in turns.
fn measure<'a>(first: &'a Contender, window: usize, readers: &mut [Reader<'a>], position: usize) -> Outcome<Vec<Row>> {
    let bytes: Vec<u64> = readers.iter().map(Reader::cache_bytes).collect();
    let mut at_window = first.reader()?;
    at_window.read_to(window)?;
    let mut turns: Vec<_> = iter::once(&mut at_window).chain(readers).collect();
    let mut rates = vec![Vec::new(); turns.len()];
    let mut order: Vec<usize> = (0..turns.len()).collect();
    for _ in 0..ROUNDS {
        for &turn in &order {
            rates[turn].push(turns[turn].decode()?);
        }
        // There and back: nobody always comes after the one that leaves most behind.
        order.reverse();
    }
    let (base, rates) = rates.split_at_mut(1);
    let measured = turns[1..].iter().zip(bytes).zip(rates);
    let rows = measured.map(|((reader, bytes), decode)| {
        let mut ratios: Vec<f64> = decode.iter().zip(&base[0]).map(|(a, b)| a / b).collect();
        Some(Row {
            name: reader.name(),
            position,
            prefill: reader.prefill(),
            read: best_and_median(&mut reader.last_pieces())?.1,
            decode: best_and_median(decode)?,
            ratio: best_and_median(&mut ratios)?.1,
            bytes,
        })
    });
    Ok(rows.flatten().collect())
}

/// What one costs at the last position, beside the window and beside half the text.
fn conclusion(name: &str, field: Field, rows: &[Row]) -> Option<String> {
    let (first, last) = (of(name, rows).next()?, of(name, rows).last()?);
    let half = of(name, rows).find(|row| 2 * row.position == last.position);
    let twice = half.map_or(String::new(), |half| {
        let times = last.prefill / half.prefill;
        format!(", and to read twice as much as before took {times:.2} times as long")
    });
    let memory = if of(name, rows).all(|row| row.bytes == first.bytes) {
        format!("constant at {} bytes", first.bytes)
    } else {
        let times = last.bytes / first.bytes;
        format!("{times} times as large as at {}", first.position)
    };
    let (base, window) = (field.names().next()?, field.window);
    Some(format!(
        "{name}: at {}, decodes at {:.3} of the speed of {base} at {window}{twice}; its cache is {memory}",
        last.position, last.ratio
    ))
}
