//! Where the time of a step goes: an observer that halts after each op.

use std::{ops::Range, time::Instant};

use glass_attention::{ForwardContext, Observer, Step};
use glass_backend::{Device, DeviceError, Traffic, TrafficCounter};
use glass_generate::{Llama, Sampler, SamplingConfig, step_observed};
use serde::{Deserialize, Serialize};

use crate::{
    BenchError, Better, Counts, Phase, Precision, Summary, Task,
    costs::{self, Cost},
    measure::Text,
};

/// What is timed, in the order of the walk.
const OPS: [(Op, &str); 13] = [
    (Op::Begin, "ids, tables"),
    (Op::Step(Step::Embedding), "embedding"),
    (Op::Step(Step::Norm), "norms"),
    (Op::Step(Step::Qkv), "q, k, v"),
    (Op::Step(Step::Rope), "rope"),
    (Op::Step(Step::Cache), "cache"),
    (Op::Step(Step::Attention), "attention"),
    (Op::Step(Step::Output), "output"),
    (Op::Step(Step::Mlp), "mlp"),
    (Op::Step(Step::Residual), "residual"),
    (Op::Step(Step::Head), "head"),
    (Op::Host, "host sync"),
    (Op::Sampling, "sampling"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// What a pass needs besides the ids' own: they go to the device, and so do the rotary table and masks.
    Begin,
    Step(Step),
    /// Logits come to the host.
    Host,
    /// A token is chosen.
    Sampling,
}

/// One op of a step, summed over all layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpTime {
    pub phase: Phase,
    pub op: String,
    /// The median of all rounds.
    pub seconds: f64,
    pub bytes: Option<u64>,
    pub flops: Option<f64>,
    /// What a graphics adapter is asked for; the halts are in its submissions and waits.
    pub counts: Option<Counts>,
    /// The whole step when nobody looks, the median of as many rounds.
    pub unobserved_s: f64,
}

/// Times the prompt as often as `rounds`, and each token that is written after it, op by op.
///
/// After each op the device is waited for, so that what an op takes is its own; a device that works ahead of the host takes
/// longer in all than when nobody looks, which is measured as well.
///
/// # Errors
/// The device fails, or cannot hold the text.
pub fn ops(llama: &Llama, precision: Precision, task: Task, rounds: usize) -> Result<Vec<OpTime>, BenchError> {
    let Task { depth, prompt, new_tokens } = task;
    let (mut prefill, mut decode) = (Rounds::default(), Rounds::default());
    // The first round compiles, tunes and touches memory.
    for round in 0..=rounds {
        let mut watched = Watched::new(llama, precision, task)?;
        let one = watched.prompt(depth..depth + prompt)?;
        let mut steps = Vec::new();
        for _ in 0..new_tokens {
            steps.push(watched.step()?);
        }
        let alone = crate::round(llama, task)?;
        if round > 0 {
            prefill.add(one, alone.first_s);
            let pairs = steps.into_iter().zip(alone.tokens_s);
            pairs.for_each(|(step, alone)| decode.add(step, alone));
        }
    }
    if let Some(counter) = TrafficCounter::start(&llama.device) {
        let mut watched = Watched { counter: Some(counter), ..Watched::new(llama, precision, task)? };
        prefill.traffic = Some(watched.prompt(depth..depth + prompt)?.traffic);
        for _ in 0..new_tokens {
            decode.traffic = Some(watched.step()?.traffic);
        }
    }
    let mut times = prefill.summed_up(Phase::Prefill);
    times.extend(decode.summed_up(Phase::Decode));
    Ok(times)
}

/// Steps of one kind.
#[derive(Default)]
struct Rounds {
    steps: Vec<Split>,
    alone: Vec<f64>,
    /// By the places in [`OPS`], of a step that was not timed.
    traffic: Option<[Traffic; OPS.len()]>,
}

impl Rounds {
    fn add(&mut self, step: Split, alone: f64) {
        self.steps.push(step);
        self.alone.push(alone);
    }

    fn summed_up(&self, phase: Phase) -> Vec<OpTime> {
        let median = |seconds: &[f64]| Summary::of(seconds, Better::Lower).map_or(0.0, |summary| summary.median);
        let unobserved_s = median(&self.alone);
        let time = |(place, (op, name)): (usize, &(Op, &str))| {
            let seconds: Vec<f64> = self.steps.iter().map(|step| step.seconds[place]).collect();
            // Costs grow by a token from step to step: those in the middle stand for all.
            let cost = self.steps.get(self.steps.len() / 2);
            let cost = cost.map(|step| step.costs[place]).unwrap_or_default();
            let known = !matches!(op, Op::Begin | Op::Sampling);
            OpTime {
                phase,
                op: (*name).to_owned(),
                seconds: median(&seconds),
                bytes: known.then_some(cost.bytes),
                flops: (known && cost.flops > 0.0).then_some(cost.flops),
                counts: self.traffic.map(|traffic| traffic[place].into()),
                unobserved_s,
            }
        };
        OPS.iter().enumerate().map(time).collect()
    }
}

/// A step taken apart, by the places in [`OPS`].
#[derive(Clone, Debug, Default)]
struct Split {
    seconds: [f64; OPS.len()],
    costs: [Cost; OPS.len()],
    traffic: [Traffic; OPS.len()],
}

/// A text that is read under the stopwatch.
struct Watched<'a> {
    text: Text<'a>,
    counter: Option<TrafficCounter>,
    precision: Precision,
    sampler: Sampler,
    id: u32,
}

impl<'a> Watched<'a> {
    /// With the tokens before the prompt.
    fn new(llama: &'a Llama, precision: Precision, task: Task) -> Result<Self, BenchError> {
        let mut text = Text::new(llama, task.depth + task.prompt + task.new_tokens)?;
        text.read(0..task.depth)?;
        Ok(Self { text, counter: None, precision, sampler: Sampler::new(SamplingConfig::default())?, id: 0 })
    }

    /// The prompt.
    fn prompt(&mut self, positions: Range<usize>) -> Result<Split, BenchError> {
        let ids = self.text.tokens(positions);
        self.passes(&ids)
    }

    /// One more token.
    fn step(&mut self) -> Result<Split, BenchError> {
        self.passes(&[self.id])
    }

    /// Reads some tokens, and chooses the one that follows.
    fn passes(&mut self, ids: &[u32]) -> Result<Split, BenchError> {
        let mut split = Split::default();
        self.text.lane.push(ids, 1);
        while self.text.lane.unread() > 0 {
            self.pass(&mut split)?;
        }
        Ok(split)
    }

    fn pass(&mut self, split: &mut Split) -> Result<(), BenchError> {
        let Text { llama, lane } = &mut self.text;
        let llama: &Llama = llama;
        llama.device.sync()?;
        if let Some(counter) = &mut self.counter {
            counter.take();
        }
        let counter = self.counter.as_mut();
        let mut watch = Stopwatch { device: &llama.device, counter, since: Instant::now(), split, failed: None };
        let start = lane.len();
        let output = step_observed(llama, [&mut *lane], &mut watch)?;
        let (read, last) = (start..lane.len(), lane.unread() == 0);
        let mut logits = output.read()?.into_values();
        if last {
            watch.lap(Op::Host);
            self.id = self.sampler.sample(&mut logits, &[])?;
            watch.lap(Op::Sampling);
        }
        if let Some(error) = watch.failed {
            return Err(error.into());
        }
        let kept = llama.kv_dtype.unwrap_or(llama.cache_dtype().into());
        for (place, (op, _)) in OPS.iter().enumerate() {
            let cost = match op {
                Op::Step(step) => costs::step(&llama.config, self.precision, kept, *step, read.clone(), last.into()),
                Op::Host if last => Cost { bytes: (llama.config.vocab_size * size_of::<f32>()) as u64, flops: 0.0 },
                _ => Cost::default(),
            };
            if *op != Op::Step(Step::Head) || last {
                split.costs[place].bytes += cost.bytes;
                split.costs[place].flops += cost.flops;
            }
        }
        Ok(())
    }
}

/// Gives the time since the op before to the op that was just made.
struct Stopwatch<'a> {
    device: &'a Device,
    counter: Option<&'a mut TrafficCounter>,
    since: Instant,
    split: &'a mut Split,
    failed: Option<DeviceError>,
}

impl Stopwatch<'_> {
    fn lap(&mut self, op: Op) {
        if let Err(error) = self.device.sync() {
            self.failed.get_or_insert(error);
        }
        let now = Instant::now();
        if let Some(place) = OPS.iter().position(|(known, _)| *known == op) {
            self.split.seconds[place] += (now - self.since).as_secs_f64();
            if let Some(counter) = &mut self.counter {
                self.split.traffic[place] = self.split.traffic[place] + counter.take();
            }
        }
        self.since = now;
    }
}

impl Observer for Stopwatch<'_> {
    fn pass(&mut self, _ctx: &ForwardContext<'_>) {
        self.lap(Op::Begin);
    }

    fn done(&mut self, step: Step) {
        self.lap(Op::Step(step));
    }
}
