//! `glass`: the program.

mod args;
mod bars;
mod batch;
mod bench;
mod chat;
mod completions;
mod convert;
mod demo;
mod devices;
mod embedded;
mod error;
mod eval;
mod generate;
mod info;
mod interrupt;
mod json_schema;
mod keep;
mod load;
mod logits;
mod logprobs;
mod man;
mod options;
mod output;
mod prompt;
mod quantize;
mod say;
mod search;
mod serve;
mod shell;
mod stream;
mod table;
mod terminal;
mod tokenize;
mod train;
mod version;
mod wrap;

use std::{
    env,
    ffi::OsString,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::Mutex,
};

use args::{Command, Glass};
use error::CliError;
use say::{one_line, say, say_styled};
use terminal::Style;

fn main() -> ExitCode {
    // SAFETY: there is no other thread yet that could read the environment.
    unsafe {
        quiet_wayland();
        args::unset_empty_variables();
    }
    let args: Vec<OsString> = env::args_os().collect();
    let glass = match Glass::from_args(&args) {
        Ok(glass) => glass,
        Err(answer) => return show(&answer),
    };
    say::set_quiet(glass.quiet);
    keep_memory();
    interrupt::install();
    // A forward pass is a few hundred small pieces of work: without this thread in the pool, each would wait for another to
    // wake up. It fails only if there is a pool already, which serves as well.
    let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    remember_panics();
    match panic::catch_unwind(AssertUnwindSafe(|| run(glass))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(CliError::Closed)) => ExitCode::SUCCESS,
        Ok(Err(CliError::Interrupted)) => ExitCode::from(interrupt::EXIT_CODE),
        Ok(Err(error)) => {
            say_styled(Style::Error, "glass: error:", &one_line(&error.to_string()));
            ExitCode::FAILURE
        }
        Err(_) => {
            let what = FIRST_PANIC.lock().ok().and_then(|mut first| first.take());
            say!(
                "glass: error: the program or the device failed: {} \
                 (if memory did not run out, this is a bug; RUST_BACKTRACE=1 shows where)",
                one_line(&what.unwrap_or_else(|| "no reason given".to_owned()))
            );
            ExitCode::from(101)
        }
    }
}

/// Help and version to standard output, and what was refused to standard error.
fn show(answer: &clap::Error) -> ExitCode {
    match answer.print().map_err(CliError::stdout) {
        Err(CliError::Stdout(error)) if !answer.use_stderr() => {
            say!("glass: error: {}", CliError::Stdout(error));
            ExitCode::FAILURE
        }
        _ => ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2)),
    }
}

/// Makes the GNU allocator keep freed memory: every forward pass needs what the one before freed. By default large pieces
/// go back to the system and come again zeroed, page by page, which costs up to a sixth of the time of a prefill or of a
/// training step.
fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: this sets parameters of the allocator, which it reads under its own lock.
    unsafe {
        // Before version 2.35 it refuses more than 32 MiB.
        if libc::mallopt(libc::M_MMAP_THRESHOLD, i32::MAX) == 0 {
            libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        }
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 256 << 20);
    }
}

/// Gives Wayland a folder. Vulkan drivers look for a Wayland session, whose library complains on standard error where
/// there is no folder for one: on servers, in containers. Any folder satisfies it.
///
/// # Safety
/// Changes the environment: no other thread may be running.
unsafe fn quiet_wayland() {
    if cfg!(target_os = "linux") && env::var_os("XDG_RUNTIME_DIR").is_none() {
        unsafe { env::set_var("XDG_RUNTIME_DIR", env::temp_dir()) };
    }
}

fn run(glass: Glass) -> Result<(), CliError> {
    match glass.command {
        None => demo::run(),
        Some(Command::Generate(args)) => generate::run(args),
        Some(Command::Batch(args)) => batch::run(args),
        Some(Command::Search(args)) => search::run(args),
        Some(Command::Chat(args)) => chat::run(args),
        Some(Command::Serve(args)) => serve::run(args),
        Some(Command::Tokenize(args)) => tokenize::run(args),
        Some(Command::Logits(args)) => logits::run(args),
        Some(Command::Info(args)) => info::run(args),
        Some(Command::Convert(args)) => convert::run(args),
        Some(Command::Quantize(args)) => quantize::run(args),
        Some(Command::Train(args)) => train::run(args),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Bench(args)) => bench::run(args),
        Some(Command::Devices) => devices::run(),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Man(args)) => man::run(args),
        Some(Command::BenchSubject) => bench::subject::run(),
    }
}

/// The first panic is the cause; those of other threads after it are only its echo.
static FIRST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the message of a panic for the one line that `main` prints.
fn remember_panics() {
    let show = env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if show {
            usual(info);
        }
        if let Ok(mut first) = FIRST_PANIC.lock() {
            first.get_or_insert_with(|| info.payload_as_str().unwrap_or("no reason given").to_owned());
        }
    }));
}
