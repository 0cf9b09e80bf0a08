//! Ctrl-C. Where a command listens, the first asks it to stop at its next step; elsewhere, and the second time, the process
//! ends at once. `glass chat` has a conversation to lose: there it takes four.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::{error::CliError, say::say, terminal};

/// What shells expect of a program that was interrupted.
pub const EXIT_CODE: u8 = 130;

/// Presses of Ctrl-C since the last [`reset`].
static REQUESTS: AtomicUsize = AtomicUsize::new(0);
/// How many of them a listening command takes before the process ends.
static MAX_REQUESTS: AtomicUsize = AtomicUsize::new(1);
static LISTENING: AtomicBool = AtomicBool::new(false);

pub fn install() {
    let handler = || {
        let listening = LISTENING.load(Ordering::SeqCst);
        let earlier = REQUESTS.fetch_add(1, Ordering::SeqCst);
        if !listening || earlier >= MAX_REQUESTS.load(Ordering::SeqCst) {
            terminal::speak();
            std::process::exit(EXIT_CODE.into());
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        say!("glass: warning: Ctrl-C will end the program at once: {error}");
    }
}

/// From here on the command checks [`requested`] at every step.
pub fn listen() {
    LISTENING.store(true, Ordering::SeqCst);
}

/// As [`listen`], for a command that two hasty presses must not end yet.
pub fn listen_patiently() {
    patience(3);
    listen();
}

/// How many presses a listening command takes before the process ends.
pub fn patience(presses: usize) {
    MAX_REQUESTS.store(presses, Ordering::SeqCst);
}

pub fn requested() -> bool {
    REQUESTS.load(Ordering::SeqCst) > 0
}

/// [`requested`], for those who report progress.
pub fn flow() -> ControlFlow<()> {
    if requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// The request is served: the next Ctrl-C is the first again.
pub fn reset() {
    REQUESTS.store(0, Ordering::SeqCst);
}

/// The next Ctrl-C ends the process.
pub fn stop_listening() {
    LISTENING.store(false, Ordering::SeqCst);
    reset();
}

/// How a command ends that Ctrl-C may have cut short.
///
/// # Errors
/// It was.
pub fn outcome(interrupted: bool) -> Result<(), CliError> {
    if interrupted { Err(CliError::Interrupted) } else { Ok(()) }
}
