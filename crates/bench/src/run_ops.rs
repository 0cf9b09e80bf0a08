//! All rows of `glass bench --ops`: one model after the other, because nothing is compared.

use std::{ops::ControlFlow, process::Command};

use crate::{
    Answer, OpRow, OpTime, Peaks, Plan, Request, Setup, Task, Watch, fill_shares,
    run::reason,
    subject::{Subject, unexpected},
    worker::Lost,
};

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct OpResults {
    pub rows: Vec<OpRow>,
    /// Steps that were taken apart, or should have been: a setup and a task each.
    pub all: usize,
    /// Of these, those that could not be; a warning said why.
    pub bad: usize,
    /// Somebody broke it off.
    pub interrupted: bool,
}

/// Takes apart what the plan says, with `plan.repeat` rounds each. `command` makes a process that calls
/// [`serve`](crate::serve).
pub fn run_ops(plan: &Plan, command: &dyn Fn() -> Command, watch: &mut dyn Watch) -> OpResults {
    let mut results = OpResults::default();
    for setup in &plan.setups {
        let mut subject = Subject::new(setup.clone(), command);
        if one(plan, &mut subject, watch, &mut results).is_break() {
            results.interrupted = true;
            break;
        }
    }
    fill_shares(&mut results.rows);
    results
}

/// All tasks of one setup, in a process that ends with them.
fn one(plan: &Plan, subject: &mut Subject<'_>, watch: &mut dyn Watch, results: &mut OpResults) -> ControlFlow<()> {
    let setup = subject.setup().clone();
    watch.now(&format!("loading {setup}"), (0, 0), None);
    match subject.open(watch) {
        Ok(()) => {}
        Err(Lost::Refused(failure)) if failure.missing && plan.any_device => {
            watch.warn(&format!("{} is left out: {}", setup.device, failure.reason));
            return ControlFlow::Continue(());
        }
        Err(lost) => {
            let reason = reason(lost)?;
            watch.warn(&format!("{setup}: {reason}"));
            results.all += plan.tasks.len();
            results.bad += plan.tasks.len();
            return ControlFlow::Continue(());
        }
    }
    let setup = subject.setup().clone();
    let again = |row: &OpRow| row.of(&plan.model, &setup);
    if results.rows.iter().any(again) {
        return ControlFlow::Continue(());
    }
    let begun = results.rows.len();
    for &task in &plan.tasks {
        results.all += 1;
        watch.now(&format!("{setup}, op by op"), (0, 0), None);
        let lost = match subject.ask(&Request::Ops(task, plan.repeat), watch) {
            Ok(Answer::Ops(times)) => {
                let row = |time| row(&plan.model, &setup, task, time);
                results.rows.extend(times.into_iter().map(row));
                continue;
            }
            Ok(_) => unexpected(),
            Err(lost) => lost,
        };
        watch.warn(&format!("{setup}: {}", reason(lost)?));
        results.bad += 1;
    }
    watch.now(&format!("{setup}, bandwidth and GEMM"), (0, 0), None);
    let lost = match subject.ask(&Request::Peaks, watch) {
        Ok(Answer::Peaks(roofs)) => {
            for row in &mut results.rows[begun..] {
                row.roofline_share = share(row, roofs);
            }
            return ControlFlow::Continue(());
        }
        Ok(_) => unexpected(),
        Err(lost) => lost,
    };
    let reason = reason(lost)?;
    watch.warn(&format!("{setup}: its bandwidth and GEMM rate are not known: {reason}"));
    ControlFlow::Continue(())
}

fn row(model: &str, setup: &Setup, task: Task, time: OpTime) -> OpRow {
    OpRow {
        model: model.to_owned(),
        device: setup.device.clone(),
        dtype: setup.dtype.clone(),
        kernels: setup.kernels.clone(),
        prompt: task.prompt,
        depth: task.depth,
        phase: time.phase,
        op: time.op,
        seconds: time.seconds,
        share: None,
        bytes: time.bytes,
        flops: time.flops,
        roofline_share: None,
        launches: time.counts.map(|counts| counts.launches),
        uploads: time.counts.map(|counts| counts.uploads),
        bytes_read: time.counts.map(|counts| counts.bytes_read),
        unobserved_s: time.unobserved_s,
    }
}

/// Of the time, what its bytes and its operations take at least.
fn share(row: &OpRow, roofs: Peaks) -> Option<f64> {
    let moving = row.bytes? as f64 / roofs.bandwidth?;
    let computing = row.flops.unwrap_or(0.0) / roofs.gemm_flops?;
    let share = moving.max(computing) / row.seconds;
    share.is_finite().then_some(share)
}
