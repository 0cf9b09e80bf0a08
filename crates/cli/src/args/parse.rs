//! From words to a command. Errors say more than clap knows.

use std::{env, ffi::OsString};

use clap::{
    Command, CommandFactory, Error, FromArgMatches,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{Compute, Glass, examples::with_examples, other_command};

/// What all variables of the environment begin with that stand for options.
const PREFIX: &str = "GLASS_";

/// What `glass bench` starts its worker processes with.
pub const BENCH_SUBJECT: &str = "bench-subject";

impl Glass {
    /// The command line as help, completions and manual pages show it.
    pub fn definition() -> Command {
        with_examples(Self::command(), "")
    }

    /// # Errors
    /// What clap refuses, and its help and version.
    pub fn from_args(args: &[OsString]) -> Result<Self, Error> {
        // No user's command: neither help nor completions know of it.
        if args.get(1).is_some_and(|word| word == BENCH_SUBJECT) {
            return Ok(Self { quiet: false, command: Some(super::Command::BenchSubject) });
        }
        let matches = Self::definition().try_get_matches_from(args);
        matches.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|mut error| {
            if let Some(tip) = other_command::tip(&error, args) {
                suggest(&mut error, tip);
                // Clap's guess of a similar name is worse than the same name.
                error.remove(ContextKind::SuggestedArg);
            } else if let Some(variable) = variable(&error, args) {
                suggest(&mut error, format!("the value is that of {variable}, a variable of the environment"));
            }
            error
        })
    }
}

impl Compute {
    /// What the environment says, and the defaults.
    ///
    /// # Errors
    /// A variable with a bad value.
    pub fn by_default() -> Result<Self, Error> {
        // Any command that computes will do.
        let args = ["glass", "generate", "MODEL"].map(OsString::from);
        match Glass::from_args(&args)?.command {
            Some(super::Command::Generate(args)) => Ok(args.compute),
            _ => unreachable!("the words name this command"),
        }
    }
}

/// Unsets the variables that are empty: they say nothing.
///
/// # Safety
/// Changes the environment: no other thread may be running.
pub unsafe fn unset_empty_variables() {
    for name in ["DEVICE", "DTYPE", "KERNELS", "MODEL"].map(|name| format!("{PREFIX}{name}")) {
        if env::var_os(&name).is_some_and(|value| value.is_empty()) {
            unsafe { env::remove_var(&name) };
        }
    }
}

fn suggest(error: &mut Error, tip: String) {
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
}

/// The variable whose value was refused.
fn variable(error: &Error, args: &[OsString]) -> Option<String> {
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let Some(ContextValue::String(refused)) = error.get(ContextKind::InvalidArg) else {
                return None;
            };
            // `--dtype <DTYPE>`: given on the command line, the variable is not read.
            let option = refused.split(' ').next()?;
            let given = args.iter().filter_map(|word| word.to_str());
            if given.map(|word| word.split('=').next()).any(|word| word == Some(option)) {
                return None;
            }
            let name = format!("{PREFIX}{}", option.strip_prefix("--")?.replace('-', "_").to_uppercase());
            env::var_os(&name).map(|_| name)
        }
        ErrorKind::InvalidUtf8 => {
            let mut variables = env::vars_os().filter(|(_, value)| value.to_str().is_none());
            variables.find_map(|(name, _)| name.to_str().filter(|name| name.starts_with(PREFIX)).map(str::to_owned))
        }
        _ => None,
    }
}
