//! Ctrl-C. While something listens, the first asks it to end at its next step; otherwise, and the second time, the
//! process ends at once.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::say::say;

/// What shells expect of a program that was interrupted.
pub const EXIT_CODE: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);
static LISTENING: AtomicBool = AtomicBool::new(false);

pub fn watch() {
    let handler = || {
        if !LISTENING.load(Ordering::SeqCst) || ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE.into());
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        say!("glass: warning: Ctrl-C will end the program at once: {error}");
    }
}

/// From here on somebody looks at [`asked`] every now and then.
pub fn listen() {
    LISTENING.store(true, Ordering::SeqCst);
}

pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// The same as an answer to whoever reports progress.
pub fn flow() -> ControlFlow<()> {
    match asked() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}
