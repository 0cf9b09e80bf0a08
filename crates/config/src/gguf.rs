//! The config that is in a GGUF file: what a `config.json` of the model would say, put together from the file's keys and, where
//! these are silent, from its tensors. It is then read as any `config.json` is.
//!
//! Reading order: [`GgufArchitecture`] (`architectures.rs`: which there are, and what each has beside the others) ·
//! `draft.rs` (the fields of all of them) · `rope.rs` (positions) · `keys.rs` (one key at a time) ·
//! `write.rs` (the reverse).
//!
//! References: llama.cpp's converter (`conversion/*.py`), which writes the keys, and its `src/models/*.cpp`, which take a
//! default for those that are absent.

mod architectures;
mod draft;
mod keys;
mod rope;
mod write;

use glass_gguf::Gguf;
use serde_json::Value;

use crate::error::ConfigError;
use crate::fields::IgnoredField;
use crate::llama_config::LlamaConfig;
use crate::overrides::Override;
use crate::read::Purpose;
pub use architectures::GgufArchitecture;
use draft::Draft;
pub use rope::TENSORS as POSITIONS;

/// A window that llama.cpp's converter leaves out of Mistral's files can only be said by hand.
const WINDOW: &str = "sliding_window";

impl LlamaConfig {
    /// The config that a GGUF file holds, with `overrides` laid over it as over a `config.json`: by the names of the family's
    /// fields there. A file of architecture `llama` is a Llama's, and with an override of `sliding_window` a Mistral's.
    ///
    /// # Errors
    /// One line that names the file and what is wrong: the architecture, a key, or what the keys say together.
    pub fn from_gguf(file: &Gguf, overrides: &[Override]) -> Result<Self, ConfigError> {
        let (config, _) = Self::gguf_with_harmless(file, overrides)?;
        Ok(config)
    }

    /// The keys and fields that are known to change nothing: nobody is warned of them.
    ///
    /// # Errors
    /// As for [`from_gguf`](Self::from_gguf).
    pub fn harmless_keys(file: &Gguf, overrides: &[Override]) -> Result<Vec<IgnoredField>, ConfigError> {
        let (_, harmless) = Self::gguf_with_harmless(file, overrides)?;
        Ok(harmless)
    }

    fn gguf_with_harmless(file: &Gguf, overrides: &[Override]) -> Result<(Self, Vec<IgnoredField>), ConfigError> {
        let mut draft = Draft::of(file)?;
        let set = |field: &str| overrides.iter().any(|set| set.key() == field);
        if set(WINDOW) && !set("model_type") && draft.fields.get("model_type") == Some(&Value::from("llama")) {
            draft.set("model_type", "mistral");
        }
        let origin = file.metadata().origin().display().to_string();
        let (mut config, mut harmless) = Self::of_object(draft.fields, &origin, overrides, Purpose::Run)?;
        let (unknown, idle) = draft.keys.rest();
        config.ignored.extend(unknown);
        harmless.extend(idle);
        Ok((config, harmless))
    }

    /// What GGUF calls such models; `None` for families that are not written or read there.
    pub fn gguf_architecture(&self) -> Option<&'static GgufArchitecture> {
        GgufArchitecture::of_family(self.model_type)
    }
}
