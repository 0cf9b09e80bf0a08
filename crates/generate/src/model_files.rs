//! The files of a model, before its weights are read: a folder in the Hugging Face layout, or one GGUF file.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use glass_checkpoint::{CheckpointError, Files, Precision, own_head};
use glass_config::{IgnoredField, LlamaConfig, Override};
use glass_gguf::Gguf;
use glass_text::{ChatTemplate, Tokenizer};

use crate::{Error, GenerationConfig};

const CONFIG: &str = "config.json";

/// Where a model's config, tokenizer, chat template, generation config and weights are. Whoever wants one of them asks here,
/// and nobody else asks which of the two it is.
pub struct ModelFiles {
    path: PathBuf,
    gguf: Option<Gguf>,
}

/// A model's weights, as their files hold them.
pub enum StoredWeights<'a> {
    Files(Files),
    Gguf(&'a Gguf),
}

impl ModelFiles {
    /// Opens a file as GGUF (the first one of several splits); of a folder, nothing is opened yet.
    ///
    /// # Errors
    /// A file that is no GGUF file, or a damaged one; a folder around one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.is_dir() && !path.join(CONFIG).exists() && holds_gguf(path) {
            Files::open(path)?;
        }
        // What is not there is an error of those who look for a part of it.
        let gguf = match path.is_file() {
            true => Some(Gguf::open(path)?),
            false => None,
        };
        Ok(Self { path: path.to_owned(), gguf })
    }

    /// A GGUF file in memory; `name` stands for it in messages.
    ///
    /// # Errors
    /// A damaged file.
    pub fn from_bytes(name: &Path, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, Error> {
        Ok(Self { path: name.to_owned(), gguf: Some(Gguf::from_bytes(name, bytes)?) })
    }

    /// The folder or the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The GGUF file, if it is one.
    pub fn gguf(&self) -> Option<&Gguf> {
        self.gguf.as_ref()
    }

    /// # Errors
    /// See [`LlamaConfig::from_file`] and [`LlamaConfig::from_gguf`].
    pub fn config(&self, overrides: &[Override]) -> Result<LlamaConfig, Error> {
        Ok(match &self.gguf {
            None => LlamaConfig::from_file(&self.config_file(), overrides)?,
            Some(file) => LlamaConfig::from_gguf(file, overrides)?,
        })
    }

    /// The fields of the config that are known to change nothing.
    ///
    /// # Errors
    /// As for [`config`](Self::config).
    pub fn harmless_fields(&self, overrides: &[Override]) -> Result<Vec<IgnoredField>, Error> {
        Ok(match &self.gguf {
            None => LlamaConfig::harmless_fields(&self.config_file(), overrides)?,
            Some(file) => LlamaConfig::harmless_keys(file, overrides)?,
        })
    }

    /// What a warning of a field calls the file that has it.
    pub(crate) fn config_name(&self) -> String {
        match &self.gguf {
            None => CONFIG.to_owned(),
            Some(_) => self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// # Errors
    /// Those of [`GenerationConfig`].
    pub fn generation_config(&self) -> Result<GenerationConfig, Error> {
        Ok(match &self.gguf {
            None => GenerationConfig::from_folder(&self.path)?,
            Some(file) => GenerationConfig::from_gguf(file)?,
        })
    }

    /// `None`: there is none.
    ///
    /// # Errors
    /// Those of [`Tokenizer`].
    pub fn tokenizer(&self) -> Result<Option<Tokenizer>, Error> {
        Ok(match &self.gguf {
            None => Tokenizer::from_folder(&self.path)?,
            Some(file) => Tokenizer::from_gguf(file.metadata())?,
        })
    }

    /// The model's chat template.
    ///
    /// # Errors
    /// There is none, or it is broken.
    pub fn chat_template(&self) -> Result<ChatTemplate, Error> {
        Ok(match &self.gguf {
            None => ChatTemplate::from_folder(&self.path)?,
            Some(file) => ChatTemplate::from_gguf(file.metadata())?,
        })
    }

    /// Another template, from a file, with the model's special tokens.
    ///
    /// # Errors
    /// It cannot be read or is broken.
    pub fn chat_template_of(&self, file: &Path) -> Result<ChatTemplate, Error> {
        Ok(match &self.gguf {
            None => ChatTemplate::from_file(file, &self.path)?,
            Some(model) => ChatTemplate::from_file_and_gguf(file, model.metadata())?,
        })
    }

    /// The weights.
    ///
    /// # Errors
    /// The folder's files cannot be opened.
    pub fn weights(&self) -> Result<StoredWeights<'_>, CheckpointError> {
        Ok(match &self.gguf {
            None => StoredWeights::Files(Files::open(&self.path)?),
            Some(file) => StoredWeights::Gguf(file),
        })
    }

    /// What the weights are held in, as they are stored; and a line about `config`, where it is put right by what the files
    /// hold.
    ///
    /// # Errors
    /// The weights cannot be opened.
    pub fn stored(&self, config: &mut LlamaConfig) -> Result<(Precision, Option<String>), Error> {
        Ok(match self.weights()? {
            StoredWeights::Files(files) => {
                let own_head = own_head(&files, config);
                (Precision::stored(&files, config), own_head)
            }
            StoredWeights::Gguf(file) => (Precision::stored_in_gguf(file), None),
        })
    }

    fn config_file(&self) -> PathBuf {
        self.path.join(CONFIG)
    }
}

fn holds_gguf(folder: &Path) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| Gguf::is_name(&entry.path()))
}
