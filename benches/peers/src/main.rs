//! The same checkpoint through `glass` and through other engines, round by round in turn, in one table.

mod args;
mod candle;
mod candle_config;
mod engine;
mod error;
mod gguf;
mod outcome;
mod prompt;
mod rounds;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    args::{Args, Task},
    engine::Engine,
    error::PeerError,
    rounds::Row,
};

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What goes to standard output: as `--worker` the result of one round, else the table.
fn run(args: &Args) -> Result<String, PeerError> {
    if gguf::is_gguf(&args.folder) {
        return gguf::run(args);
    }
    let config = candle_config::read(&args.folder)?;
    let ids = match &args.ids {
        Some(ids) => ids.clone(),
        None => prompt::ids(args.prompt, candle_config::vocabulary(&config)?),
    };
    let task = |dtype| Task {
        folder: args.folder.clone(),
        ids: ids.clone(),
        generate: args.generate,
        threads: args.threads(),
        dtype,
    };
    if args.worker {
        return candle::run(&task(args.dtype[0]), config).map(|outcome| outcome.to_json());
    }
    let engines = Engine::chosen(args)?;
    let mut runs = Vec::new();
    let mut rows = Vec::new();
    for &dtype in &args.dtype {
        for engine in &engines {
            runs.push((engine, task(dtype)));
            rows.push(Row::new(engine.to_string(), dtype));
        }
    }
    rounds::fill(&mut rows, args.rounds, |place, row, round| {
        let (engine, task) = &runs[place];
        eprintln!(
            "round {} of {}: {} {}",
            round + 1,
            args.rounds,
            row.engine,
            row.dtype
        );
        engine.run(task)
    });
    let (heading, table) = (args.heading(), table::render(&rows, args.generate));
    Ok(format!("{heading}\n\n{table}"))
}
