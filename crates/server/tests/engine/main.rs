//! The engine of the server without HTTP: many texts at once, each as if it were alone.

mod alone;
mod blocks;
mod load;
mod models;
mod places;
mod prefixes;
mod told;
