//! Generation without a model: sequences, sampling, stopping, and `generation_config.json`.

mod constraint;
mod generation_config;
mod rules;
mod sampling;
mod sequence;
mod stop;
