//! Generation without a model: sequences, sampling, stopping, and `generation_config.json`.

mod constraint;
mod generation_config;
mod json_schema;
mod marked_schemas;
mod rules;
mod rules_together;
mod sampling;
mod sampling_options;
mod sequence;
mod stop;
