//! `glass man`: manual pages.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::{
    args::{self, Glass, examples_of},
    error::CliError,
    output::{OutputFile, check_folder},
    say::status,
};

pub fn run(args: args::Man) -> Result<(), CliError> {
    let mut glass = Glass::command();
    // Names of commands in commands are joined then.
    glass.build();
    match &args.output {
        Some(folder) => write_all(&glass, folder, &args.overwrite),
        None => {
            let page = page(find(&glass, &args.command)?).map_err(CliError::stdout)?;
            io::stdout().write_all(&page).map_err(CliError::stdout)
        }
    }
}

fn find<'c>(glass: &'c Command, words: &[String]) -> Result<&'c Command, CliError> {
    words.iter().try_fold(glass, |command, word| {
        command.find_subcommand(word).ok_or_else(|| {
            let names: Vec<&str> = commands(command).map(Command::get_name).collect();
            CliError::Usage(match names.as_slice() {
                [] => format!("there is no command {word:?} in {:?}, which stands alone", command.get_name()),
                names => format!("there is no command {word:?}: give {}", names.join(", ")),
            })
        })
    })
}

/// Those that the help lists, but for the help itself.
fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

/// A page for each command. Pages of other programs may lie beside them.
fn write_all(glass: &Command, folder: &Path, overwrite: &args::Overwrite) -> Result<(), CliError> {
    check_folder(folder)?;
    if folder.is_file() {
        return Err(CliError::input(folder, "is a file: give the name of a folder"));
    }
    fs::create_dir_all(folder).map_err(CliError::writing(folder))?;
    let mut open = vec![glass];
    let mut pages = Vec::new();
    while let Some(command) = open.pop() {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let file = OutputFile::create(&folder.join(format!("{name}.1")), overwrite.existing())?;
        pages.push((file, page(command).map_err(CliError::writing(folder))?));
        open.extend(commands(command));
    }
    let count = pages.len();
    pages.into_iter().try_for_each(|(file, page)| file.write(&page))?;
    status!("glass: wrote {count} pages to {}", folder.display());
    Ok(())
}

/// The page of a command, in roff.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    let path = command.get_bin_name().unwrap_or_default();
    let examples = examples_of(path.strip_prefix("glass").unwrap_or(path).trim_start());
    if !examples.is_empty() {
        writeln!(page, ".SH EXAMPLES")?;
    }
    for (what, line) in examples {
        writeln!(page, ".TP\n{}\n.nf\n{}\n.fi", escaped(what), escaped(line))?;
    }
    Ok(page)
}

/// Text of a page: none of it is a command of roff, and hyphens are those of a terminal.
fn escaped(text: &str) -> String {
    format!("\\&{}", text.replace('\\', "\\e").replace('-', "\\-"))
}
