//! Ctrl-C: the first asks the work to end at the next token, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

/// What shells expect of a program that was interrupted.
pub const EXIT_CODE: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);

pub fn watch() {
    let handler = || {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE.into());
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("glass: warning: Ctrl-C will end the program at once: {error}");
    }
}

pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
