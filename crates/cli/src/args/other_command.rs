//! An option given to the wrong command: the error names the right one.

use std::ffi::OsString;

use clap::{
    Arg, CommandFactory, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::Glass;

/// The commands that write texts: they share most options, and each has some of its own.
const TEXT_COMMANDS: [&str; 4] = ["generate", "batch", "search", "chat"];

/// Which command has the option that this one does not have.
pub fn tip(error: &Error, args: &[OsString]) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let given = args.get(1)?.to_str()?;
    if !TEXT_COMMANDS.contains(&given) {
        return None;
    }
    let glass = Glass::command();
    let has = |command: &str| {
        let command = glass.find_subcommand(command)?;
        command.get_arguments().any(|arg| is_named(arg, option)).then(|| format!("`glass {}`", command.get_name()))
    };
    let commands: Vec<String> = TEXT_COMMANDS.into_iter().filter_map(has).collect();
    let (last, rest) = commands.split_last()?;
    Some(if rest.is_empty() {
        format!("use {last}, which has '{option}'")
    } else {
        format!("use {} or {last}, which have '{option}'", rest.join(", "))
    })
}

/// Whether `option`, with its dashes, is one of the names of `arg`.
fn is_named(arg: &Arg, option: &str) -> bool {
    match option.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| option == format!("-{short}")),
    }
}
