//! Files that are written whole or not at all.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorView};
use tempfile::NamedTempFile;

use crate::{error::CliError, interrupt};

pub struct OutputFile {
    path: PathBuf,
    folder: PathBuf,
}

impl OutputFile {
    /// Checks the path before there is anything to write, so that a bad one costs no waiting.
    pub fn create(path: &Path) -> Result<Self, CliError> {
        let refuse = |reason| CliError::input(path, reason);
        // Behind a link, the file is replaced and not the link.
        let followed = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let path = followed.as_path();
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Replacing a device, /dev/null for instance, would break the machine.
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
        // A file without a name is gone again even if the process is killed here.
        tempfile::tempfile_in(folder).map_err(CliError::writing(path))?;
        Ok(Self { path: path.to_owned(), folder: folder.to_owned() })
    }

    /// Writes the whole file.
    pub fn write(self, bytes: &[u8]) -> Result<(), CliError> {
        // Ended at once, the process would leave its temporary file behind.
        interrupt::listen();
        let write = || -> io::Result<()> {
            let mut file = self.temporary()?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            Ok(())
        };
        write().map_err(CliError::writing(&self.path))
    }

    /// A temporary file with the permissions of an ordinary one.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(&self.folder)
    }
}

/// A safetensors file.
pub struct Output {
    file: OutputFile,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl Output {
    /// As [`OutputFile::create`].
    pub fn create(path: &Path) -> Result<Self, CliError> {
        Ok(Self { file: OutputFile::create(path)?, tensors: Vec::new() })
    }

    /// A float32 tensor, its values row-major.
    pub fn add(&mut self, name: String, shape: Vec<usize>, values: Vec<f32>) {
        self.tensors.push((name, shape, values));
    }

    pub fn write(self) -> Result<(), CliError> {
        let path = &self.file.path;
        let views = self
            .tensors
            .iter()
            .map(|(name, shape, values)| {
                // The format is little-endian, as is every machine that this runs on.
                let bytes = bytemuck::cast_slice(values);
                TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CliError::input(path, error.to_string()))?;

        // Ended at once, the process would leave its temporary file behind.
        interrupt::listen();
        let write = CliError::writing(path);
        // serialize_to_file writes a private temporary file and renames it when it is whole.
        let usual = self.file.temporary().map_err(write)?;
        let permissions = usual.as_file().metadata().map_err(write)?.permissions();
        safetensors::serialize_to_file(views, None, path).map_err(|error| CliError::input(path, error.to_string()))?;
        fs::set_permissions(path, permissions).map_err(write)?;
        Ok(())
    }
}
