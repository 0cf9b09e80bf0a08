//! Options of quoted commands.

use std::collections::{HashMap, HashSet};

use super::{names::Code, none, page::pages};
use crate::run::succeeds;

#[test]
fn options_of_quoted_commands_exist() {
    let (code, options) = (Code::read(), Options::read());
    let mut faults = Vec::new();
    let mut commands = 0;
    for page in pages() {
        for block in page.blocks() {
            for line in block.lines.join("\n").replace("\\\n", " ").lines() {
                for command in line.trim_start_matches("$ ").split(" | ") {
                    let command = command.trim_start();
                    let fault = match command {
                        glass if glass.starts_with("glass ") => options.fault(glass),
                        cargo if cargo.starts_with("cargo ") => code.cargo(cargo),
                        _ => continue,
                    };
                    commands += 1;
                    faults.extend(fault.map(|fault| format!("{}: {command}: {fault}", page.at(block.line))));
                }
            }
        }
    }
    assert!(commands > 50, "commands are missing: {commands}");
    none(faults);
}

/// The options of every command, from its help.
pub struct Options {
    by_command: HashMap<String, HashSet<String>>,
    pub all: HashSet<String>,
}

impl Options {
    pub fn read() -> Self {
        let mut by_command = HashMap::new();
        let mut open = vec![String::new()];
        while let Some(command) = open.pop() {
            let mut args: Vec<&str> = command.split_whitespace().collect();
            args.push("--help");
            let help = succeeds(&args).stdout;
            let mut inside = false;
            for line in help.lines() {
                match line.strip_suffix(':') {
                    Some(heading) if !line.starts_with(' ') => inside = heading == "Commands",
                    _ if inside => {
                        let name = line.split_whitespace().next();
                        if let Some(name) = name.filter(|name| *name != "help") {
                            open.push(format!("{command} {name}").trim().to_owned());
                        }
                    }
                    _ => {}
                }
            }
            by_command.insert(command, flags(&help));
        }
        let all = by_command.values().flatten().cloned().collect();
        Self { by_command, all }
    }

    /// What is wrong with `glass COMMAND ...`.
    pub fn fault(&self, command: &str) -> Option<String> {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let named = |n: usize| words.get(..n).map(|words| words.join(" "));
        let known = |name: &String| self.by_command.contains_key(name);
        let name = named(2).filter(known).or_else(|| named(1).filter(known));
        let Some(name) = name else {
            // `glass --help`, or a placeholder such as COMMAND.
            let first = words.first().copied().unwrap_or_default();
            let placeholder = first.starts_with('-') || first.chars().all(char::is_uppercase);
            return (!placeholder).then(|| "no such command".to_owned());
        };
        let options = &self.by_command[&name];
        flags(command).into_iter().find(|flag| !options.contains(flag)).map(|flag| format!("{name} has no {flag}"))
    }
}

/// `-x` and `--long` of a text.
pub fn flags(text: &str) -> HashSet<String> {
    text.split([' ', '\n', '[', ']', '=', ',', '"'])
        .map(|word| word.trim_end_matches(['.', ';', ':', ')']))
        .filter(|word| {
            let name = word.trim_start_matches('-');
            (word.starts_with("--") && name.len() > 1 || word.starts_with('-') && name.len() == 1)
                && name.starts_with(|first: char| first.is_alphabetic())
        })
        .map(str::to_owned)
        .collect()
}
