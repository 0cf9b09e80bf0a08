//! Runs of `glass train` that are stopped and resumed.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    run::{PATIENCE, Ran, command, met_in_its_middle},
    train::{Desk, trains},
};

/// Long enough to be stopped in the middle, with evaluations and checkpoints at different steps, and with dropout, whose
/// random numbers must resume too.
const RUN: &str =
    "--preset tiny --steps 240 --batch 4 --context 32 --eval-every 35 --save-every 20 --dropout 0.1 --device flex";
const STEPS: usize = 240;

fn start(args: &[String]) -> Child {
    let mut command = command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("glass starts")
}

/// The step of the newest checkpoint.
fn saved(desk: &Desk) -> usize {
    let entries = fs::read_dir(desk.path("model/training")).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let steps = names.filter_map(|name| name.strip_prefix("step-")?.parse().ok());
    steps.max().unwrap_or(0)
}

fn send(child: &Child, signal: libc::c_int) {
    let id = libc::pid_t::try_from(child.id()).expect("a process id");
    // SAFETY: the child was not waited for yet, so that the id is its own.
    assert_eq!(unsafe { libc::kill(id, signal) }, 0);
}

fn end(child: Child) -> (ExitStatus, Ran) {
    let output = child.wait_with_output().expect("it ends");
    let ran = Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into(),
        stderr: String::from_utf8_lossy(&output.stderr).into(),
    };
    ran.has_no_panic();
    (output.status, ran)
}

/// Starts a run and sends it a signal once it has saved this step; `None`: it was over before that.
fn stop(desk: &Desk, args: &[String], step: usize, signal: libc::c_int) -> Option<(ExitStatus, Ran)> {
    let mut child = start(args);
    let start = Instant::now();
    while saved(desk) < step {
        assert!(start.elapsed() < PATIENCE, "nothing came");
        child.try_wait().expect("a child").is_none().then(|| thread::sleep(Duration::from_millis(1)))?;
    }
    send(&child, signal);
    let (status, ran) = end(child);
    (!status.success()).then_some((status, ran))
}

fn resume(desk: &Desk) -> Vec<String> {
    ["train", "--resume", &desk.model(), "--device", "flex"].map(String::from).into()
}

fn weights(desk: &Desk) -> Vec<u8> {
    fs::read(desk.path("model/model.safetensors")).expect("readable")
}

#[test]
fn killed_runs_resume_to_the_unbroken_result() {
    let unbroken = Desk::new();
    trains(&unbroken.train(RUN));

    let desk = met_in_its_middle(|_| {
        let desk = Desk::new();
        let mut args = desk.train(RUN);
        for least in [1, 60] {
            let (status, _) = stop(&desk, &args, least, libc::SIGKILL)?;
            assert_eq!(status.signal(), Some(libc::SIGKILL));
            (saved(&desk) < STEPS).then_some(())?;
            args = resume(&desk);
        }
        Some(desk)
    });
    let ran = trains(&resume(&desk));
    ran.says(&["glass: resuming after step ", "trained 240 steps"]);

    assert_eq!(desk.metrics(), unbroken.metrics());
    assert!(weights(&desk) == weights(&unbroken), "the weights differ");
    assert_eq!(desk.names("model"), unbroken.names("model"));
    let kept = desk.names("model/training");
    assert!(kept.len() == 2 && kept.contains(&"step-240".into()), "{kept:?}");
}

#[test]
fn ctrl_c_saves_and_prints_how_to_resume() {
    let unbroken = Desk::new();
    trains(&unbroken.train(RUN));

    let (desk, ran) = met_in_its_middle(|_| {
        let desk = Desk::new();
        let (_, ran) = stop(&desk, &desk.train(RUN), 20, libc::SIGINT)?;
        Some((desk, ran))
    });
    assert_eq!((ran.code, &*ran.stdout), (Some(130), ""), "{ran:?}");
    let step = saved(&desk);
    ran.says(&[
        &format!("stopped after step {step} of 240, and saved"),
        &format!("glass train --resume {}", desk.model()),
    ]);
    // The stopped run leaves a usable model.
    assert!(desk.names("model").contains(&"model.safetensors".into()));

    trains(&resume(&desk)).says(&[&format!("resuming after step {step}\n"), "trained 240 steps"]);
    assert_eq!(desk.metrics(), unbroken.metrics());
    assert!(weights(&desk) == weights(&unbroken), "the weights differ");
}
