//! A process that measures one model, asked by `glass bench`.

use std::{
    io::{self, BufRead},
    process,
    sync::mpsc,
    thread,
};

use glass_bench::serve;

use crate::{error::CliError, interrupt};

/// Ends when whoever asks is gone, in the midst of an answer too: nobody is left who would end it.
pub fn run() -> Result<(), CliError> {
    // Ctrl-C reaches every process of the terminal; this one is ended by the one that asks.
    interrupt::listen();
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut requests = io::stdin().lock().lines().map_while(Result::ok);
        let _ = requests.try_for_each(|line| sender.send(line));
        process::exit(0);
    });
    serve(lines, io::stdout().lock()).map_err(CliError::stdout)
}
