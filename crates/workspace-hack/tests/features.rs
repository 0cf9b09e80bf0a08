//! All commands share one compilation of each third-party crate: whatever is selected, its features are the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

/// The third-party crates that a command would compile for this machine, each with its features. Proc-macros are left out:
/// they are compiled in a moment.
fn features(selection: &[&str], edges: &str) -> BTreeMap<String, String> {
    let mut crates = BTreeMap::new();
    for line in tree(&[selection, &["--edges", edges, "--format", "{p}#{f}"]].concat()) {
        // A blank line or a heading.
        let Some((name, features)) = line.split_once('#') else {
            continue;
        };
        // Those of the workspace have a path.
        if !name.contains(" (/") {
            let features = features.trim_end_matches(" (*)").to_owned();
            let other = crates.insert(name.to_owned(), features.clone());
            assert!(other.is_none_or(|other| other == features), "{name}");
        }
    }
    crates
}

fn tree(args: &[&str]) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--locked", "--prefix", "none"]).args(args);
    let output = cargo.output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{cargo:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn features_are_the_same_whatever_is_selected() {
    let all = features(&["--workspace"], "normal,dev,no-proc-macro");
    assert!(all.keys().any(|name| name.starts_with("burn v")), "{all:?}");
    let members = tree(&["--workspace", "--depth", "0", "--format", "{p}"]);
    let members = members.iter().filter_map(|line| line.split_once(' '));
    let members: BTreeSet<&str> = members.map(|member| member.0).collect();
    let mut differences = Vec::new();
    for member in members {
        let own = features(&["--package", member], "normal,no-proc-macro");
        // Without Burn, as `glass-kernels` is, nothing that takes long is compiled again. `glass-kernels-cube` has no tests of
        // its own, because `glass-backend` holds its kernels to the CPU's: nobody selects it.
        if member == "glass-kernels-cube" || !own.keys().any(|name| name.starts_with("burn v")) {
            continue;
        }
        for (name, features) in own {
            if features != all[&name] {
                let expected = &all[&name];
                differences.push(format!("{member}: {name} with \"{features}\", not \"{expected}\""));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "crates/workspace-hack/Cargo.toml must ask for these features:\n{}",
        differences.join("\n")
    );
}

/// Cargo says nothing of tests in a target that has `test = false`: it never compiles them.
#[test]
fn no_crate_without_unit_tests_has_some() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates/");
    let mut looked_at = 0;
    for member in fs::read_dir(crates).expect("crates").map(|entry| entry.expect("an entry").path()) {
        let manifest = fs::read_to_string(member.join("Cargo.toml")).expect("a manifest");
        if manifest.lines().any(|line| line == "test = false") {
            looked_at += 1;
            no_tests_in(&member.join("src"));
        }
    }
    assert!(looked_at > 0);
}

fn no_tests_in(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            no_tests_in(&path);
        } else {
            let source = fs::read_to_string(&path).unwrap_or_default();
            let test = source.lines().find(|line| matches!(line.trim(), "#[cfg(test)]" | "#[test]"));
            assert_eq!(test, None, "{}: it would never run", path.display());
        }
    }
}
