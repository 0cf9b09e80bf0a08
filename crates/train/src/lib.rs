//! Training: the modules of inference learn as they are; only their device differs, for it records what it computes.
//!
//! Reading order: [`Recipe`] (every number that decides a run) · [`preset`] (shapes of models) · [`Initializer`] (weights
//! before the first step) · [`Corpus`] and [`SequenceOrder`] (what is read, and when) · [`cross_entropy`] (the loss) ·
//! [`learning_rate`] (the schedule) · [`AdamW`] (the optimizer) · [`Trainer`] (one step) · [`Checkpoint`] (what a killed
//! run resumes from) · [`Run`] (all steps) · [`metrics`] (losses, one line per step).

mod adamw;
mod checkpoint;
mod corpus;
mod divergence;
mod error;
mod event;
mod gradients;
mod init;
mod loss;
mod order;
mod output;
mod preset;
mod pretrained;
mod recipe;
mod run;
mod schedule;
mod start;
mod trainer;

pub mod metrics;
pub mod tokenizer;

pub use adamw::{AdamW, decaying};
pub use checkpoint::{Checkpoint, Pretrained};
pub use corpus::Corpus;
pub use error::TrainError;
pub use event::{Event, Outcome};
pub use gradients::{clip, norm};
pub use init::Initializer;
pub use loss::cross_entropy;
pub use order::SequenceOrder;
pub use preset::{PRESETS, preset};
pub use recipe::Recipe;
pub use run::Run;
pub use schedule::learning_rate;
pub use start::{NewRun, Shape};
pub use trainer::{StepReport, Trainer};
