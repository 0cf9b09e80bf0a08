//! What a run reports.

use crate::StepReport;

/// What a run reports while it trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    Step {
        /// Steps done.
        step: usize,
        report: StepReport,
        /// Of this step.
        tokens_per_second: f64,
    },
    /// The held-out text is being scored.
    Evaluating {
        tokens: usize,
        total: usize,
    },
    Evaluated {
        step: usize,
        /// Mean over the last steps, in nats per token.
        train_loss: Option<f64>,
        /// On the held-out text, in nats per token.
        loss: f64,
        /// Spent training so far.
        seconds: f64,
    },
    Saved {
        step: usize,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub step: usize,
    /// All steps of the recipe are done, and the last one is evaluated.
    pub complete: bool,
    /// Of the last evaluation, in nats per token.
    pub held_out_loss: Option<f64>,
    /// Step and loss of the best evaluation.
    pub best: Option<(usize, f64)>,
    pub seconds: f64,
}
