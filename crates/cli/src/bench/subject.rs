//! The worker process of `glass bench`: it measures one model.

use std::{
    io::{self, BufRead},
    process,
    sync::mpsc,
    thread,
};

use glass_bench::serve;

use crate::{error::CliError, interrupt};

/// Ends when `glass bench` is gone, even in the midst of an answer.
pub fn run() -> Result<(), CliError> {
    // Ctrl-C reaches every process of the terminal; `glass bench` ends this one.
    interrupt::listen();
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut requests = io::stdin().lock().lines().map_while(Result::ok);
        let _ = requests.try_for_each(|line| sender.send(line));
        process::exit(0);
    });
    serve(lines, io::stdout().lock()).map_err(CliError::stdout)
}
