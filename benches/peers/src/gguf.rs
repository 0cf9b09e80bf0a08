//! A GGUF file through `glass` and through llama.cpp, round by round in turn.
//!
//! Both multiply the same blocks with activations in 8 bits. llama.cpp measures with `llama-bench`, which chooses no tokens;
//! whether glass computes the right ones is what its tests hold.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    args::Args,
    error::{PeerError, last_words},
    table::{aligned, median, spread},
};

/// Tokens per second.
#[derive(Clone, Copy, Debug)]
struct Rates {
    prefill: f64,
    decode: f64,
}

/// Whether this is a GGUF file, by its name.
pub fn is_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("gguf"))
}

/// The table.
///
/// # Errors
/// An engine that fails.
pub fn run(args: &Args) -> Result<String, PeerError> {
    let Some(llama_bench) = &args.llama_bench else {
        let what = "a GGUF file is compared with llama.cpp: name its llama-bench with --llama-bench FILE (README.md says how to build it)";
        return Err(PeerError::Process {
            what: what.to_owned(),
        });
    };
    let (mut glass, mut other) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        glass.push(of_glass(args)?);
        other.push(of_llama_bench(llama_bench, args)?);
    }
    let column = |rates: &[Rates], of: fn(&Rates) -> f64| spread(rates.iter().map(of).collect());
    let ratio = |of: fn(&Rates) -> f64| {
        let pairs = glass.iter().zip(&other);
        median(pairs.map(|(glass, other)| of(glass) / of(other)).collect())
            .map_or("-".to_owned(), |x| format!("{x:.2} x"))
    };
    let (prefill, decode): (fn(&Rates) -> f64, fn(&Rates) -> f64) = (|r| r.prefill, |r| r.decode);
    let line = |name: &str, rates: &[Rates], ratios: [String; 2]| {
        let [of_prefill, of_decode] = ratios;
        vec![
            name.to_owned(),
            column(rates, prefill),
            of_prefill,
            column(rates, decode),
            of_decode,
        ]
    };
    let header = [
        "engine",
        "prefill tok/s",
        "glass is",
        "decode tok/s",
        "glass is",
    ];
    let one = "1.00 x".to_owned();
    let cells = vec![
        header.map(str::to_owned).to_vec(),
        header.map(|_| "---".to_owned()).to_vec(),
        line("glass", &glass, [one.clone(), one]),
        line("llama.cpp", &other, [ratio(prefill), ratio(decode)]),
    ];
    let name = args.folder.file_name().unwrap_or_default().display();
    let heading = format!(
        "{name}: a prompt of {} tokens, and {} tokens behind it; {} rounds in turn; {} threads",
        args.prompt,
        args.generate,
        args.rounds,
        args.threads()
    );
    Ok(format!("{heading}\n\n{}", aligned(&cells)))
}

fn of_glass(args: &Args) -> Result<Rates, PeerError> {
    let mut command = Command::new(&args.glass);
    command.arg("bench").arg(&args.folder);
    command.args([
        "--device", "flex", "--repeat", "2", "--no-check", "--format", "jsonl",
    ]);
    command.args(["--prompt", &args.prompt.to_string()]);
    command.args(["--gen", &args.generate.to_string()]);
    command.env("RAYON_NUM_THREADS", args.threads().to_string());
    let line: Value = read(command)?;
    let rate = |key: &str| number(&line, key);
    Ok(Rates {
        prefill: rate("prefill_tps")?,
        decode: rate("decode_tps")?,
    })
}

fn of_llama_bench(program: &Path, args: &Args) -> Result<Rates, PeerError> {
    // A prompt at the beginning, then tokens behind as many as the prompt has.
    let rate = |prompt: usize, generate: usize, depth: usize| {
        let mut command = Command::new(program);
        command.arg("-m").arg(&args.folder).args(["-o", "jsonl"]);
        for (option, value) in [
            ("-p", prompt),
            ("-n", generate),
            ("-d", depth),
            ("-r", 2),
            ("-t", args.threads()),
        ] {
            command.args([option, &value.to_string()]);
        }
        number(&read(command)?, "avg_ts")
    };
    Ok(Rates {
        prefill: rate(args.prompt, 0, 0)?,
        decode: rate(0, args.generate, args.prompt)?,
    })
}

/// The last line that a program prints, which is JSON.
fn read(mut command: Command) -> Result<Value, PeerError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| PeerError::Start {
        program: command.get_program().display().to_string(),
        source,
        advice: "",
    })?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let what = last_words(&stderr).map_or_else(
            || format!("ended with {}", output.status),
            str::to_owned,
        );
        return Err(PeerError::Process { what });
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.trim_end().lines().next_back().unwrap_or_default();
    serde_json::from_str(last).map_err(PeerError::Output)
}

fn number(line: &Value, key: &str) -> Result<f64, PeerError> {
    let missing = || PeerError::Process {
        what: format!("its output has no number {key}: {line}"),
    };
    line.get(key).and_then(Value::as_f64).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gguf_file_is_known_by_its_name() {
        for (path, expected) in [("a/b.gguf", true), ("B.GGUF", true), ("gguf", false), ("a.gguf/b", false)] {
            assert_eq!(is_gguf(Path::new(path)), expected, "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn rates_are_read_from_the_last_line() {
        let print = |text: &str| {
            let mut command = Command::new("echo");
            command.arg(text);
            read(command)
        };
        let line = print("words\n{\"avg_ts\": 12.5}").unwrap();
        assert_eq!(number(&line, "avg_ts").unwrap(), 12.5);
        assert!(number(&line, "other").unwrap_err().to_string().contains("other"));
        assert!(matches!(print("words"), Err(PeerError::Output(_))));
    }
}
