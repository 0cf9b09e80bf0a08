//! What is kept, a file for each policy.

mod full;
mod ring;
mod streaming_llm;
mod tova;

pub use full::Full;
pub use ring::Ring;
pub use streaming_llm::StreamingLlm;
pub use tova::Tova;
