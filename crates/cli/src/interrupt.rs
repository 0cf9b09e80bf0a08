//! Ctrl-C. While something listens, the first asks it to end at its next step; otherwise, and the second time, the
//! process ends at once. A conversation is worth more: there it takes four.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::say::say;

/// What shells expect of a program that was interrupted.
pub const EXIT_CODE: u8 = 130;

/// How often it was asked.
static ASKED: AtomicUsize = AtomicUsize::new(0);
/// How often somebody who listens may be asked.
static PATIENCE: AtomicUsize = AtomicUsize::new(1);
static LISTENING: AtomicBool = AtomicBool::new(false);

pub fn watch() {
    let handler = || {
        let listening = LISTENING.load(Ordering::SeqCst);
        let asked = ASKED.fetch_add(1, Ordering::SeqCst);
        if !listening || asked >= PATIENCE.load(Ordering::SeqCst) {
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
    ASKED.load(Ordering::SeqCst) > 0
}

/// What was asked has been done: the next Ctrl-C is the first again.
pub fn answered() {
    ASKED.store(0, Ordering::SeqCst);
}

/// Nobody looks any more: the next Ctrl-C ends the process.
pub fn rest() {
    LISTENING.store(false, Ordering::SeqCst);
    answered();
}

/// From here on somebody listens always, and whoever presses Ctrl-C twice in a hurry does not end the process yet.
pub fn listen_patiently() {
    PATIENCE.store(3, Ordering::SeqCst);
    listen();
}

/// The same as an answer to whoever reports progress.
pub fn flow() -> ControlFlow<()> {
    match asked() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}
