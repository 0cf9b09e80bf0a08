//! Training as a whole: its gradients, what it learns, what a kill leaves, what it gives, and what it refuses.

mod adamw;
mod devices;
mod diverging;
mod finite_differences;
mod gradients;
mod learning;
mod refusals;
mod result;
mod resume;
mod resume_refusals;
mod runs;
