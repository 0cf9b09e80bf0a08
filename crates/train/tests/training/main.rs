//! Training: gradients, the optimizer, tokenizers, metrics, and whole runs.

mod adamw;
mod devices;
mod divergence;
mod families;
mod finite_differences;
mod gradients;
mod learning;
mod metrics;
mod more_steps;
mod pretrained;
mod refusals;
mod result;
mod resume;
mod resume_refusals;
mod runs;
mod tokenizer;
