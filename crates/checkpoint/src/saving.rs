//! A folder that gets its new files all together.
//!
//! They are written aside, in a folder inside it, and take their places when the last one is whole and on the disk.
//! Until then an error, a Ctrl-C or a power cut leaves what was there before.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::save_error::SaveError;
use crate::sharding::is_shard_name;
use crate::{WEIGHTS, WEIGHTS_INDEX};

/// Where files are until they are whole. The name is fixed, so that the next save clears up after a killed one.
const ASIDE: &str = ".glass-saving";
/// Held as long as a process is saving: a killed process holds it no longer.
const LOCK: &str = "lock";

/// What to do with a folder that has something in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse it: nothing of the user's can then be lost.
    Refuse,
    /// Replace the model in it, once the new one is whole.
    Replace,
}

/// A folder on its way to hold a model. Dropped before [`finish`](Self::finish), it takes back all it did.
#[derive(Debug)]
pub struct Saving {
    folder: PathBuf,
    aside: PathBuf,
    lock: Option<File>,
    /// Whether the folder was not there before.
    made: bool,
    existing: Existing,
    /// Names of the files that lie aside.
    files: Vec<String>,
    /// Files that are in their places while others are not.
    placed: Vec<PathBuf>,
}

impl Saving {
    /// Makes `folder` if it is not there, and sees that it can be written.
    ///
    /// # Errors
    /// The folder it is to be in does not exist; it is a file, is not empty (with [`Existing::Refuse`]), cannot be
    /// written, or another process is saving to it.
    pub fn begin(folder: &Path, existing: Existing) -> Result<Self, SaveError> {
        let made = match fs::create_dir(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                check(folder, existing)?;
                false
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(SaveError::NoParent(folder.to_owned()));
            }
            Err(source) => return Err(SaveError::write(folder, source)),
        };
        let mut saving = Self {
            folder: folder.to_owned(),
            aside: folder.join(ASIDE),
            lock: None,
            made,
            existing,
            files: Vec::new(),
            placed: Vec::new(),
        };
        saving.take_lock()?;
        saving.clear_leftovers()?;
        Ok(saving)
    }

    /// Writes a small file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), SaveError> {
        let mut file = self.create(name)?;
        file.write(bytes)?;
        file.close()
    }

    /// Starts a file, which is to be closed before [`finish`](Self::finish).
    pub(super) fn create(&mut self, name: &str) -> Result<NewFile, SaveError> {
        let shown = self.folder.join(name);
        match File::create(self.aside.join(name)) {
            Ok(file) => {
                self.files.push(name.to_owned());
                let file = BufWriter::new(file);
                Ok(NewFile { file, shown })
            }
            Err(source) => Err(SaveError::write(&shown, source)),
        }
    }

    /// Puts every file in its place, the one that readers open first (`model.safetensors` or the index) last, and
    /// removes weights that do not belong to the new ones.
    ///
    /// A single file replaces a single file in one step. A sharded model that replaces one with shards of the same
    /// names needs several, between which a killed process leaves shards of both.
    ///
    /// # Errors
    /// A file cannot be moved or removed.
    pub fn finish(mut self) -> Result<(), SaveError> {
        let is_entry = |name: &String| name == WEIGHTS || name == WEIGHTS_INDEX;
        let mut files = std::mem::take(&mut self.files);
        files.sort_by_key(is_entry);
        for name in &files {
            let place = self.folder.join(name);
            fs::rename(self.aside.join(name), &place).map_err(|source| SaveError::write(&place, source))?;
            self.placed.push(place);
        }
        self.placed.clear();
        let stale = |name: &String| is_weights(name) && !files.contains(name);
        if files.iter().any(is_entry) {
            remove_files(&self.folder, stale)?;
        }
        sync_folder(&self.folder).map_err(|source| SaveError::write(&self.folder, source))
    }

    fn take_lock(&mut self) -> Result<(), SaveError> {
        let failed = |source| SaveError::write(&self.folder, source);
        match fs::create_dir(&self.aside) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let lock = File::create(self.aside.join(LOCK)).map_err(failed)?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(SaveError::Busy(self.folder.clone()));
        }
        // Some network drives know no locks. That is no reason not to save there.
        self.lock = Some(lock);
        Ok(())
    }

    fn clear_leftovers(&self) -> Result<(), SaveError> {
        remove_files(&self.aside, |name| name != LOCK)
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        // What cannot be removed stays: whatever stopped the saving has been said, and this would hide it.
        if self.existing == Existing::Refuse {
            for place in &self.placed {
                let _ = fs::remove_file(place);
            }
        }
        let _ = match self.lock {
            Some(_) => fs::remove_dir_all(&self.aside),
            // Only if it is empty: the files of the process that holds the lock are not ours.
            None => fs::remove_dir(&self.aside),
        };
        if self.made {
            // Only if it is empty: then nothing was saved.
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// A file that lies aside.
pub(super) struct NewFile {
    file: BufWriter<File>,
    /// Its place, for messages.
    shown: PathBuf,
}

impl NewFile {
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SaveError> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| SaveError::write(&self.shown, source))
    }

    /// Waits until the disk has it: a name must never stand for a file that a power cut empties.
    pub fn close(mut self) -> Result<(), SaveError> {
        let synced = self.file.flush();
        let synced = synced.and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|source| SaveError::write(&self.shown, source))
    }
}

/// Whether something that exists can be the folder.
fn check(folder: &Path, existing: Existing) -> Result<(), SaveError> {
    if !folder.is_dir() {
        return Err(SaveError::NotAFolder(folder.to_owned()));
    }
    let names = names(folder).map_err(|source| SaveError::write(folder, source))?;
    if existing == Existing::Refuse && names.iter().any(|name| name != ASIDE) {
        return Err(SaveError::NotEmpty(folder.to_owned()));
    }
    Ok(())
}

/// Whether a file of this name holds weights, or says where they are.
pub(crate) fn is_weights(name: &str) -> bool {
    name == WEIGHTS || name == WEIGHTS_INDEX || is_shard_name(name)
}

/// Names that are not text are shown with replacement characters: none of them is one of ours.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

pub(crate) fn remove_files(folder: &Path, which: impl Fn(&String) -> bool) -> Result<(), SaveError> {
    let names = names(folder).map_err(|source| SaveError::write(folder, source))?;
    for name in names.iter().filter(|name| which(name)) {
        let file = folder.join(name);
        fs::remove_file(&file).map_err(|source| SaveError::write(&file, source))?;
    }
    Ok(())
}

/// Waits until the disk has the names in a folder: only then are they safe from a power cut.
///
/// # Errors
/// The system's.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        match File::open(folder)?.sync_all() {
            // Some file systems cannot sync a folder, and say so.
            Err(error) if !matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}
