//! What a long text costs: speed and memory against position, for each way to remember it.
//!
//!     cargo bench -p glass-benches --bench context                            flex and wgpu
//!     cargo bench -p glass-benches --bench context -- flex --longest 16384    one device, shorter texts
//!     cargo bench -p glass-benches --bench context -- flex --mixers           kinds of model, not cache policies of one
//!     cargo bench -p glass-benches --bench context -- flex --mixers --filled  the same without reading the text
//!
//! All read the same text in pieces of 512 tokens, and stop at each doubling of the position to decode some steps. There they
//! take turns (A B C C B A), and with them the first of them, a window or a ring, that has read W tokens and no more: each
//! ratio is to its speed in the same round, so that a machine that slows down does not bend it.
//!
//! With `--filled` nobody reads the text: at each position caches are filled with drawn numbers, and pieces and steps are timed
//! behind them. The time to read all of it is the sum of what a token takes, on a line between two positions: attention
//! grows so. That takes minutes where reading would take an hour.

use std::{fs, iter, path::PathBuf, process::ExitCode};

use clap::Parser;
use glass_backend::Device;
use glass_benches::{
    Reader, best_and_median,
    contenders::{Contender, Field, MIXERS, POLICIES},
    papers::{Row, claims, of, seconds_up_to},
    reader::{self, Outcome},
};
use glass_plot::{Axis, PlotError, Scale, Series, curves};

/// Where decoding is measured first. The steps of all rounds fit in before the next doubling.
const FIRST: usize = 512;

const ROUNDS: usize = 11;

/// Behind filled caches, who has read for so long reads no further piece.
const MOST_SECONDS: f64 = 3.0;

#[derive(Parser)]
struct Args {
    /// Devices, as for `glass --device`.
    #[arg(default_values_t = ["flex".to_owned(), "wgpu".to_owned()])]
    devices: Vec<String>,
    /// Last position, in tokens.
    #[arg(long, default_value_t = 131_072)]
    longest: usize,
    /// Measures kinds of model of one size (attention with a window and without, Mamba, Mamba-2, Samba, RetNet).
    #[arg(long)]
    mixers: bool,
    /// Fills caches with drawn numbers instead of reading the text.
    #[arg(long)]
    filled: bool,
    /// First position, in tokens: as the last one a power of two. With --filled; times to read the whole text begin there.
    #[arg(long, default_value_t = FIRST, requires = "filled")]
    shortest: usize,
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

    let rows = if args.filled { filled(&contenders, field, args)? } else { reading(&contenders, field, args)? };
    for name in field.names() {
        if let Some(line) = conclusion(name, field, &rows) {
            println!("{line}");
        }
    }
    for claim in if args.mixers { claims(&rows) } else { vec![] } {
        println!("{claim}");
    }
    Ok(rows)
}

/// All positions that are measured.
fn positions(args: &Args) -> impl Iterator<Item = usize> {
    let doublings = (args.shortest.max(FIRST).ilog2()..usize::BITS - 1).map(|exponent| 1 << exponent);
    doublings.take_while(|&position| position <= args.longest)
}

/// All read the text.
fn reading(contenders: &[Contender], field: Field, args: &Args) -> Outcome<Vec<Row>> {
    let mut readers = contenders.iter().map(Contender::reader).collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<Row> = Vec::new();
    for position in positions(args) {
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
        let mut at_window = contenders[0].reader()?;
        at_window.read_to(field.window)?;
        for row in measure(&mut at_window, &mut readers, position)? {
            print(&row);
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Nobody reads the text.
fn filled(contenders: &[Contender], field: Field, args: &Args) -> Outcome<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for position in positions(args) {
        let readers = contenders.iter().map(|contender| contender.reader_behind(position));
        let mut readers = readers.collect::<Result<Vec<_>, _>>()?;
        for _ in 0..reader::LAST_PIECES {
            for reader in readers.iter_mut().filter(|reader| reader.read_for() < MOST_SECONDS) {
                reader.read_piece(reader::PIECE)?;
            }
        }
        for mut row in measure(&mut contenders[0].reader_behind(field.window)?, &mut readers, position)? {
            let so_far = of(row.name, &rows).chain([&row]);
            row.prefill = seconds_up_to(so_far, |row| row.read).last().map_or(0.0, |(_, seconds)| seconds);
            print(&row);
            rows.push(row);
        }
    }
    Ok(rows)
}

fn print(row: &Row) {
    println!(
        "{:>8}  {:<12} {:>10.2} {:>9.0} {:>10.1} ({:>7.1}) {:>6.3} {:>11}",
        row.position, row.name, row.prefill, row.read, row.decode.0, row.decode.1, row.ratio, row.bytes
    );
}

/// Decodes from `position` on, which all readers have reached, in turns.
fn measure<'a>(at_window: &mut Reader<'a>, readers: &mut [Reader<'a>], position: usize) -> Outcome<Vec<Row>> {
    let bytes: Vec<u64> = readers.iter().map(Reader::cache_bytes).collect();
    let mut turns: Vec<_> = iter::once(at_window).chain(readers).collect();
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
