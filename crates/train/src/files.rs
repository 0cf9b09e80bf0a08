//! The result as a folder.

use std::path::PathBuf;

use glass_checkpoint::Saving;

use crate::TrainError;

/// The small files of the result.
pub(crate) struct Files {
    pub folder: PathBuf,
    pub config: Vec<u8>,
    pub generation_config: Vec<u8>,
    pub tokenizer: Vec<u8>,
    pub tokenizer_config: Vec<u8>,
}

impl Files {
    pub fn write_all(&self, saving: &mut Saving) -> Result<(), TrainError> {
        for (name, bytes) in [
            ("config.json", &self.config),
            ("generation_config.json", &self.generation_config),
            ("tokenizer.json", &self.tokenizer),
            ("tokenizer_config.json", &self.tokenizer_config),
        ] {
            saving.write(name, bytes)?;
        }
        Ok(())
    }
}
