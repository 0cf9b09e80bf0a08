//! Where results go. A file is written whole or not at all, and never over another one unless that was asked for.

mod inputs;

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use glass_checkpoint::Existing;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::{args, error::CliError, interrupt};
pub use inputs::{check_input, check_model};

/// The path that stands for standard output.
const STDOUT: &str = "-";

/// What stands in the metadata of a file of `glass logits`.
const PRODUCER: (&str, &str) = ("producer", "glass logits");

/// Bytes of a header that are read to see who wrote a file.
const MAX_HEADER: u64 = 16 << 20;

/// Links to follow before a circle of them is taken for one.
const MAX_LINKS: usize = 40;

/// A file of the result, or a device or pipe in its place.
pub struct OutputFile {
    /// As it was given.
    path: PathBuf,
    place: Place,
}

enum Place {
    /// Written beside its place first.
    File {
        path: PathBuf,
        folder: PathBuf,
        existing: Existing,
    },
    /// A pipe, a terminal, /dev/null: nothing there could be lost.
    Stream(File),
    Stdout,
}

impl OutputFile {
    /// Checks the path before there is anything to write, so that a bad one costs no waiting. `-` is standard output.
    ///
    /// # Errors
    /// It cannot be written; or it is a file with something in it, and `existing` refuses that.
    pub fn create(path: &Path, existing: Existing) -> Result<Self, CliError> {
        let given = path;
        let opened = |place| Ok(Self { path: given.to_owned(), place });
        if is_stdout(path) {
            return opened(Place::Stdout);
        }
        if is_descriptor(path) {
            return opened(Place::Stream(stream(path)?));
        }
        // Behind a link, the file is replaced and not the link.
        let path = followed(path);
        check_place(&path)?;
        if fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
            return opened(Place::Stream(stream(&path)?));
        }
        check(&path, existing)?;
        // A file without a name is gone again even if the process is killed here.
        let folder = folder_of(&path).to_owned();
        tempfile::tempfile_in(&folder).map_err(CliError::writing(&path))?;
        opened(Place::File { path, folder, existing })
    }

    /// The file of an option that need not be given.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn wanted(path: Option<&Path>, overwrite: &args::Overwrite) -> Result<Option<Self>, CliError> {
        path.map(|path| Self::create(path, overwrite.existing())).transpose()
    }

    /// Writes the whole file.
    pub fn write(self, bytes: &[u8]) -> Result<(), CliError> {
        let path = self.path.clone();
        self.write_with(|out| out.write_all(bytes).map_err(CliError::writing(&path)), |_| Ok(()))
    }

    /// Writes the file by `write`, and gives it its name if `check`, which may look at it, finds nothing wrong. A stream is not
    /// checked.
    pub fn write_with(
        self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), CliError>,
        check: impl FnOnce(&Path) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let (path, folder, existing) = match self.place {
            Place::Stdout => return write(&mut io::stdout()),
            Place::Stream(mut file) => return write(&mut file),
            Place::File { path, folder, existing } => (path, folder, existing),
        };
        // Another program may have written it since.
        self::check(&path, existing)?;
        // Ended at once, the process would leave its temporary file behind.
        interrupt::listen();
        let failed = CliError::writing(&path);
        let mut file = temporary(&folder).map_err(failed)?;
        // The bare file: errors of the other one name a temporary path.
        write(file.as_file_mut())?;
        check(file.path())?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// Refuses a path that no file can have.
///
/// # Errors
/// One line that says what is there, or is not.
pub fn check_place(path: &Path) -> Result<(), CliError> {
    let refuse = |reason| Err(CliError::input(path, reason));
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => refuse("is a folder: give the name of a file"),
        Ok(meta) if is_disk(&meta) => refuse("is a disk: give the name of a file"),
        Ok(_) => Ok(()),
        Err(_) if !folder_of(path).is_dir() => refuse("its folder does not exist: make it first"),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CliError::writing(path)(error)),
        Err(_) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            refuse("is the name of a folder: give that of a file")
        }
        Err(_) => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Refuses standard output where a folder is written.
///
/// # Errors
/// One line that says how to go on.
pub fn check_folder(path: &Path) -> Result<(), CliError> {
    match is_stdout(path) {
        true => Err(CliError::input(path, "is standard output, and this writes a folder: give its name")),
        false => Ok(()),
    }
}

/// Refuses a file that holds something, unless it may be replaced. What an earlier `glass logits` wrote may be: results are
/// compared again and again.
///
/// # Errors
/// One line that says how to go on.
pub fn check(path: &Path, existing: Existing) -> Result<(), CliError> {
    match fs::metadata(path) {
        Ok(meta) if existing == Existing::Refuse && meta.len() > 0 && !is_own(path) => {
            Err(CliError::Exists(path.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Whether `glass logits` wrote this file.
pub fn is_own(path: &Path) -> bool {
    let header = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let mut len = [0; 8];
        file.read_exact(&mut len)?;
        let mut header = Vec::new();
        file.take(u64::from_le_bytes(len).min(MAX_HEADER)).read_to_end(&mut header)?;
        Ok(header)
    };
    // A pipe would wait for somebody to write to it.
    let header = fs::metadata(path).is_ok_and(|meta| meta.is_file()).then(header);
    let header = header.and_then(Result::ok).and_then(|header| serde_json::from_slice::<Value>(&header).ok());
    header.is_some_and(|header| header["__metadata__"][PRODUCER.0] == PRODUCER.1)
}

/// Whether this is standard output: an earlier line of the result must not be written over.
pub fn is_stdout(path: &Path) -> bool {
    [STDOUT, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// Whether this is a file that the shell has opened for this process, whatever its kind.
fn is_descriptor(path: &Path) -> bool {
    path == Path::new("/dev/stderr") || ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.starts_with(folder))
}

fn stream(path: &Path) -> Result<File, CliError> {
    OpenOptions::new().append(true).open(path).map_err(CliError::writing(path))
}

#[cfg(unix)]
fn is_disk(meta: &fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&meta.file_type())
}

#[cfg(not(unix))]
fn is_disk(_: &fs::Metadata) -> bool {
    false
}

/// The path behind links, whether or not there is something.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// A temporary file with the permissions of an ordinary one.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// A safetensors file.
pub struct Output {
    file: OutputFile,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl Output {
    /// As [`OutputFile::create`].
    pub fn create(path: &Path, existing: Existing) -> Result<Self, CliError> {
        Ok(Self { file: OutputFile::create(path, existing)?, tensors: Vec::new() })
    }

    /// A float32 tensor, its values row-major.
    pub fn add(&mut self, name: String, shape: Vec<usize>, values: Vec<f32>) {
        self.tensors.push((name, shape, values));
    }

    pub fn write(self) -> Result<(), CliError> {
        let failed = |error: safetensors::SafeTensorError| CliError::input(&self.file.path, error.to_string());
        let views = self
            .tensors
            .iter()
            .map(|(name, shape, values)| {
                // The format is little-endian, as is every machine that this runs on.
                let bytes = bytemuck::cast_slice(values);
                TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let (producer, own) = PRODUCER;
        let metadata = Some(HashMap::from([(producer.to_owned(), own.to_owned())]));
        let Place::File { path, folder, existing } = &self.file.place else {
            let bytes = safetensors::serialize(views, metadata).map_err(failed)?;
            return self.file.write(&bytes);
        };
        check(path, *existing)?;
        // Ended at once, the process would leave its temporary file behind.
        interrupt::listen();
        let write = CliError::writing(path);
        // serialize_to_file writes a private temporary file and renames it when it is whole.
        let usual = temporary(folder).map_err(write)?;
        let permissions = usual.as_file().metadata().map_err(write)?.permissions();
        safetensors::serialize_to_file(views, metadata, path).map_err(failed)?;
        fs::set_permissions(path, permissions).map_err(write)?;
        Ok(())
    }
}
