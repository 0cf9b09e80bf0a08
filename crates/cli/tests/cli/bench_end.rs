//! What becomes of the processes behind the rows: those that are killed, and those that nobody needs any more.

use std::{
    fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    models::random_tiny,
    run::{PATIENCE, Ran, command, met_in_its_middle},
};

/// Rows that go on for much longer than anybody waits.
fn endless() -> Child {
    let args = [
        "bench",
        &random_tiny(),
        "--device",
        "flex,ndarray",
        "--gen",
        "200",
        "--repeat",
        "100000",
        "--row-seconds",
        "100000",
        "--format",
        "jsonl",
    ];
    let mut command = command(&args);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("glass starts")
}

/// Processes whose parent is this one, by number.
fn children(parent: u32) -> Vec<u32> {
    let numbers = fs::read_dir("/proc").expect("Linux has it");
    let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number: &u32| {
            let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            // Behind the name in parentheses: state, parent.
            let parent_of = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
            parent_of.and_then(|id| id.parse().ok()) == Some(parent)
        })
        .collect()
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until both rows are being measured: the reference's process is gone then.
fn both(bench: &Child) -> Vec<u32> {
    let mut found = Vec::new();
    wait_until("two processes", || {
        found = children(bench.id());
        found.len() == 2
    });
    found
}

fn kill(id: u32, signal: i32) {
    let id = libc::pid_t::try_from(id).expect("a process id");
    // SAFETY: a process of this test, which nobody has waited for yet.
    assert_eq!(unsafe { libc::kill(id, signal) }, 0);
}

fn end(bench: Child) -> Ran {
    let output = bench.wait_with_output().expect("it ends");
    let ran = Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    ran.has_no_panic();
    ran
}

fn gone(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[test]
fn ctrl_c_shows_what_was_measured_and_leaves_nobody_behind() {
    met_in_its_middle(|wait| {
        let bench = endless();
        let subjects = both(&bench);
        thread::sleep(wait);
        kill(bench.id(), libc::SIGINT);
        let ran = end(bench);
        assert_eq!(ran.code, Some(130), "{ran:?}");
        assert_eq!(ran.stdout.lines().count(), 4, "{ran:?}");
        wait_until("they end", || subjects.iter().all(|&id| gone(id)));
        let mut rows = ran.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        rows.find(|row| row["decode_tps"].is_f64())
    });
}

#[test]
fn a_row_whose_process_is_killed_says_so_and_the_others_go_on() {
    let bench = endless();
    let subjects = both(&bench);
    kill(subjects[0], libc::SIGKILL);
    // Its other row goes on in a new one.
    wait_until("a new process", || {
        let now = children(bench.id());
        now.len() == 2 && !now.contains(&subjects[0])
    });
    kill(bench.id(), libc::SIGINT);
    let ran = end(bench);
    let killed: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("its process was killed")).collect();
    assert_eq!(killed.len(), 1, "{ran:?}");
}

#[test]
fn nobody_is_left_when_the_one_that_asks_is_killed() {
    let mut bench = endless();
    let subjects = both(&bench);
    kill(bench.id(), libc::SIGKILL);
    bench.wait().expect("it ends");
    wait_until("they end", || subjects.iter().all(|&id| gone(id)));
}
