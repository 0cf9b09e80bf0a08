//! All rows, from the first process to the last ratio.

use std::{
    collections::{HashMap, hash_map::Entry},
    iter,
    ops::ControlFlow,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    Answer, Checked, Peaks, Record, Request, Setup, Task, Turn, Turns,
    ratios::fill_ratios,
    reference::{F32, Reference, has_text, loss, reference_of},
    row::Row,
    subject::{Subject, unexpected},
    worker::Lost,
};

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the model is called.
    pub model: String,
    /// Numbers in its weights.
    pub parameters: u64,
    /// In the order of the rows.
    pub setups: Vec<Setup>,
    pub tasks: Vec<Task>,
    /// Rounds of each row, not counting the cold one.
    pub repeat: usize,
    /// A row has no further round once its warm rounds have taken so long together; one it always has.
    pub patience: Duration,
    /// Nobody asked for these devices by name: one that is not there is left out.
    pub any_device: bool,
    /// A device, a dtype or kernels that the base of ratios has, as far as it is given; the first setup that has them is it.
    pub base: Vec<String>,
    /// Whether rows are compared with the reference.
    pub check: bool,
    /// A folder for what is thrown away afterwards.
    pub scratch: PathBuf,
}

/// Somebody who waits.
pub trait Watch {
    /// What happens now, how many turns are done and left, and how long those that are left will take.
    fn now(&mut self, what: &str, turns: (usize, usize), remaining: Option<Duration>);

    /// One line that has to be known.
    fn warn(&mut self, line: &str);

    /// Whether to go on; asked every now and then.
    fn flow(&mut self) -> ControlFlow<()>;
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// In the order of tasks, and of setups in each.
    pub records: Vec<Record>,
    /// Somebody broke it off.
    pub interrupted: bool,
}

/// Measures all rows: a round of each in turn, then whether they are right, then the roofs. `command` makes a process that
/// calls [`serve`](crate::serve).
pub fn run(plan: &Plan, command: &dyn Fn() -> Command, watch: &mut dyn Watch) -> Results {
    let mut bench = Bench {
        plan,
        command,
        subjects: Vec::new(),
        rows: Vec::new(),
        checked: HashMap::new(),
        losses: HashMap::new(),
        roofs: HashMap::new(),
    };
    let interrupted = bench.all(watch).is_break();
    Results { records: bench.records(watch, interrupted), interrupted }
}

struct Bench<'a> {
    plan: &'a Plan,
    command: &'a dyn Fn() -> Command,
    subjects: Vec<Subject<'a>>,
    rows: Vec<Row>,
    /// By subject.
    checked: HashMap<usize, Result<Checked, String>>,
    /// By subject: see [`Record::loss_above_f32`].
    losses: HashMap<usize, f64>,
    /// By device and dtype.
    roofs: HashMap<(String, String), Peaks>,
}

impl Bench<'_> {
    fn all(&mut self, watch: &mut dyn Watch) -> ControlFlow<()> {
        let mut references = HashMap::new();
        for setup in self.plan.setups.iter().filter(|_| self.plan.check) {
            let with_loss = has_text(setup).then(|| F32.to_owned());
            for precision in iter::once(reference_of(setup)).chain(with_loss) {
                if let Entry::Vacant(place) = references.entry(precision) {
                    let reference = Reference::of(setup, place.key(), &self.plan.scratch, self.command, watch)?;
                    place.insert(reference);
                }
            }
        }
        self.open(watch)?;
        self.rounds(watch)?;
        self.count(watch)?;
        self.check(&references, watch)?;
        self.measure_roofs(watch)
    }

    /// A process for each setup, one after the other.
    fn open(&mut self, watch: &mut dyn Watch) -> ControlFlow<()> {
        let mut said = Vec::new();
        for setup in &self.plan.setups {
            watch.now(&format!("loading {setup}"), (0, 0), None);
            let mut subject = Subject::new(setup.clone(), self.command);
            let error = match subject.open(watch) {
                Ok(()) => None,
                Err(Lost::Refused(failure)) if failure.missing && self.plan.any_device => {
                    watch.warn(&format!("{} is left out: {}", setup.device, failure.reason));
                    continue;
                }
                Err(lost) => Some(reason(lost)?),
            };
            // A device without kernels of its own has one kind, whatever it is asked for.
            if self.subjects.iter().any(|other| other.setup() == subject.setup()) {
                watch.warn(&format!("{setup} is left out: it is {} again", subject.setup()));
                continue;
            }
            for warning in subject.opened().iter().flat_map(|opened| &opened.warnings) {
                if !said.contains(warning) {
                    watch.warn(warning);
                    said.push(warning.clone());
                }
            }
            let number = self.subjects.len();
            self.rows
                .extend(self.plan.tasks.iter().map(|&task| Row { error: error.clone(), ..Row::new(number, task) }));
            self.subjects.push(subject);
        }
        // Rows that do the same take turns.
        let order = |row: &Row| self.plan.tasks.iter().position(|task| *task == row.task);
        self.rows.sort_by_key(order);
        ControlFlow::Continue(())
    }

    /// The cold round of each row, and then the warm ones.
    fn rounds(&mut self, watch: &mut dyn Watch) -> ControlFlow<()> {
        let mut turns = Turns::new(self.rows.len(), 1 + self.plan.repeat);
        for (number, row) in self.rows.iter().enumerate() {
            if row.error.is_some() {
                turns.drop_out(number);
            }
        }
        let mut done = 0;
        loop {
            let (left, remaining) = (turns.left(), turns.remaining());
            let Some(Turn { round, row: number }) = turns.next() else {
                return ControlFlow::Continue(());
            };
            let row = &mut self.rows[number];
            let subject = &mut self.subjects[row.subject];
            let what = match round {
                0 => format!("{}, cold", subject.setup()),
                round => format!("{}, round {round}", subject.setup()),
            };
            watch.now(&what, (done, left), remaining);
            done += 1;
            let start = Instant::now();
            let lost = match subject.ask(&Request::Round(row.task), watch) {
                Ok(Answer::Round(round)) => {
                    row.add(round);
                    turns.took(number, start.elapsed());
                    if row.took() > self.plan.patience {
                        turns.drop_out(number);
                    }
                    continue;
                }
                Ok(_) => unexpected(),
                Err(lost) => lost,
            };
            row.error = Some(reason(lost)?);
            turns.drop_out(number);
        }
    }

    /// What each row asks of its device, when everything that is compiled and tuned is there.
    fn count(&mut self, watch: &mut dyn Watch) -> ControlFlow<()> {
        for row in self.rows.iter_mut().filter(|row| row.error.is_none()) {
            let subject = &mut self.subjects[row.subject];
            watch.now(&format!("{}, counting", subject.setup()), (0, 0), None);
            let lost = match subject.ask(&Request::Traffic(row.task), watch) {
                Ok(Answer::Traffic(traffic)) => {
                    row.traffic = traffic;
                    continue;
                }
                Ok(_) => unexpected(),
                Err(lost) => lost,
            };
            row.error = Some(reason(lost)?);
        }
        ControlFlow::Continue(())
    }

    /// Compares each setup that has rows left.
    fn check(&mut self, references: &HashMap<String, Option<Reference>>, watch: &mut dyn Watch) -> ControlFlow<()> {
        for (number, subject) in self.subjects.iter_mut().enumerate() {
            let reference = references.get(&reference_of(subject.setup()));
            let Some(Some(reference)) = reference else {
                continue;
            };
            let request = &Request::Check(reference.file.clone(), reference.tokens.clone());
            let mut rows = self.rows.iter().filter(|row| row.subject == number);
            if rows.all(|row| row.error.is_some()) {
                continue;
            }
            watch.now(&format!("{}, against the reference", subject.setup()), (0, 0), None);
            let seen = match subject.ask(request, watch) {
                Ok(Answer::Checked(checked)) => Ok(checked),
                Ok(_) => Err(reason(unexpected())?),
                Err(lost) => Err(reason(lost)?),
            };
            self.checked.insert(number, seen);
            if let Some(Some(Reference { tokens, loss: Some(least), .. })) = references.get(F32)
                && let Some(loss) = loss(subject, tokens, watch)?
            {
                self.losses.insert(number, loss - least);
            }
        }
        ControlFlow::Continue(())
    }

    fn measure_roofs(&mut self, watch: &mut dyn Watch) -> ControlFlow<()> {
        for (number, subject) in self.subjects.iter_mut().enumerate() {
            let Setup { device, dtype, .. } = subject.setup();
            let key = (device.clone(), dtype.clone());
            let mut rows = self.rows.iter().filter(|row| row.subject == number);
            if self.roofs.contains_key(&key) || rows.all(|row| row.error.is_some()) {
                continue;
            }
            watch.now(&format!("{}, bandwidth and GEMM", subject.setup()), (0, 0), None);
            let lost = match subject.ask(&Request::Peaks, watch) {
                Ok(Answer::Peaks(roofs)) => {
                    self.roofs.insert(key, roofs);
                    continue;
                }
                Ok(_) => unexpected(),
                Err(lost) => lost,
            };
            let reason = reason(lost)?;
            let setup = subject.setup();
            watch.warn(&format!("{setup}: its bandwidth and GEMM rate are not known: {reason}"));
        }
        ControlFlow::Continue(())
    }

    fn records(&self, watch: &mut dyn Watch, interrupted: bool) -> Vec<Record> {
        let mut records: Vec<Record> = self.rows.iter().map(|row| self.record(row, interrupted)).collect();
        let found = fill_ratios(&mut records, &self.plan.base);
        if !found && !self.plan.base.is_empty() && !records.is_empty() {
            let base = self.plan.base.join(" ");
            watch.warn(&format!("there are no ratios: no row that counts is {base}"));
        }
        records
    }

    fn record(&self, row: &Row, interrupted: bool) -> Record {
        let subject = &self.subjects[row.subject];
        let setup = subject.setup();
        let key = (setup.device.clone(), setup.dtype.clone());
        let roofs = self.roofs.get(&key).copied().unwrap_or_default();
        let mut record = Record {
            model: self.plan.model.clone(),
            parameters: Some(self.plan.parameters),
            repeat: self.plan.repeat,
            ..row.record(setup, subject.opened(), roofs)
        };
        record.loss_above_f32 = self.losses.get(&row.subject).copied();
        if interrupted && row.warm.is_empty() && row.error.is_none() {
            record.error = Some("interrupted before it was measured".into());
        }
        match self.checked.get(&row.subject) {
            _ if record.error.is_some() => {}
            Some(Ok(checked)) => record.judge(&checked.correctness(), checked.tolerance),
            Some(Err(reason)) => {
                record.failed = true;
                record.error = Some(format!("it cannot be compared with the reference: {reason}"));
            }
            None => {}
        }
        record
    }
}

/// Why a row has no answer; whoever asks to end gets no row at all.
pub fn reason(lost: Lost) -> ControlFlow<(), String> {
    match lost {
        Lost::Interrupted => ControlFlow::Break(()),
        Lost::Refused(failure) => ControlFlow::Continue(failure.reason),
        Lost::Died(reason) => ControlFlow::Continue(reason),
    }
}
