//! The clients that people use. Each script is run where its client is installed, and left out with a notice elsewhere:
//! `GLASS_CLIENTS_PYTHON` names a Python that has them, `GLASS_CLIENTS_NODE` a folder with `node_modules`.

use std::{env, path::PathBuf, process::Command};

use crate::server::shared;

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Runs a script against the server; it fails where the client sees something else than it should.
fn run(mut command: Command, name: &str) {
    command.arg(script(name)).arg(format!("http://{}", shared()));
    let output = command.output().expect("the client runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}:\n{said}");
}

fn python(module: &str, name: &str) {
    let python = env::var("GLASS_CLIENTS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    match found {
        Ok(output) if output.status.success() => run(Command::new(python), name),
        _ => eprintln!("left out: {module} is not installed for {python} (GLASS_CLIENTS_PYTHON names another Python)"),
    }
}

#[test]
fn openai_for_python() {
    python("openai", "openai_client.py");
}

#[test]
fn anthropic_for_python() {
    python("anthropic", "anthropic_client.py");
}

#[test]
fn langchain() {
    python("langchain_openai", "langchain_client.py");
}

#[test]
fn litellm() {
    python("litellm", "litellm_client.py");
}

#[test]
fn openai_for_node() {
    let Ok(folder) = env::var("GLASS_CLIENTS_NODE") else {
        eprintln!("left out: GLASS_CLIENTS_NODE names no folder with node_modules/openai");
        return;
    };
    let mut command = Command::new("node");
    command.env("GLASS_CLIENTS_NODE", folder);
    run(command, "openai_client.mjs");
}
