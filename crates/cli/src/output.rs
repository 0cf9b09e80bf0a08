//! A safetensors file that appears whole or not at all.

use std::{fs, io::Write, path::Path};

use safetensors::{Dtype, tensor::TensorView};

use crate::{error::CliError, interrupt};

pub struct Output<'a> {
    path: &'a Path,
    folder: &'a Path,
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl<'a> Output<'a> {
    /// Looks at the path before the model is loaded, so that one that cannot be written costs no waiting.
    pub fn create(path: &'a Path) -> Result<Self, CliError> {
        let refuse = |reason: &str| CliError::Input {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Taking the place of a device, /dev/null for instance, would break the machine.
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                return Err(refuse("is a folder: give the name of a file"));
            }
            Ok(meta) if !meta.is_file() => {
                return Err(refuse("is not a regular file: give another name"));
            }
            _ if !folder.is_dir() => {
                return Err(refuse("its folder does not exist: make it first"));
            }
            _ => {}
        }
        // Without a name it is gone again, even if the process is killed here.
        tempfile::tempfile_in(folder).map_err(|source| CliError::Write {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path,
            folder,
            tensors: Vec::new(),
        })
    }

    /// A float32 tensor, its values row-major.
    pub fn add(&mut self, name: String, shape: Vec<usize>, values: &[f32]) {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.tensors.push((name, shape, bytes));
    }

    pub fn write(self) -> Result<(), CliError> {
        let failed = |reason: String| CliError::Input {
            path: self.path.to_owned(),
            reason,
        };
        let views = self
            .tensors
            .iter()
            .map(|(name, shape, bytes)| {
                TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(error.to_string()))?;
        let bytes =
            safetensors::serialize(views, None).map_err(|error| failed(error.to_string()))?;

        // A process that ended in here would leave its temporary file behind.
        interrupt::listen();
        let write = |source| CliError::Write {
            path: self.path.to_owned(),
            source,
        };
        let mut builder = tempfile::Builder::new();
        // A temporary file is private; what the user asked for is as open as any file they make.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(self.folder).map_err(write)?;
        file.write_all(&bytes).map_err(write)?;
        file.persist(self.path)
            .map_err(|error| write(error.error))?;
        Ok(())
    }
}
