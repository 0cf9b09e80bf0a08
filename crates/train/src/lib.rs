//! Training: the same modules that serve also learn; only their device remembers what it computed.
//!
//! Reading order: [`Recipe`] (every number that decides a run) · [`preset`] (shapes of models) · [`Initialiser`] (weights
//! before the first step) · [`Corpus`] and [`Order`] (what is read, and when) · [`cross_entropy`] (what is minimised) ·
//! [`learning_rate`] (how far a step goes) · [`AdamW`] (where it goes) · [`Trainer`] (one step) · [`Checkpoint`] (what a
//! killed run goes on from) · [`run`] (all steps) · [`metrics`] (what is left to look at).

mod adamw;
mod checkpoint;
mod corpus;
mod error;
mod files;
mod gradients;
mod init;
mod loss;
mod order;
mod preset;
mod recipe;
mod run;
mod schedule;
mod start;
mod trainer;
mod watch;

pub mod metrics;
pub mod tokenizer;

pub use adamw::AdamW;
pub use checkpoint::Checkpoint;
pub use corpus::Corpus;
pub use error::TrainError;
pub use gradients::{clip, norm};
pub use init::Initialiser;
pub use loss::cross_entropy;
pub use order::Order;
pub use preset::{PRESETS, preset};
pub use recipe::Recipe;
pub use run::{Event, Outcome, Run};
pub use schedule::learning_rate;
pub use start::{Shape, Start};
pub use trainer::{StepReport, Trainer};
