//! Checkpoints as files: what is read, refused, written and written again. No device is needed.

mod convert;
mod dtype;
mod families;
mod files;
mod gguf;
mod saving;
