//! The bytes of a whole file, mapped or in memory.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

/// The bytes of a file; clones share them.
#[derive(Clone)]
pub struct Mapping(Arc<Inner>);

struct Inner {
    path: PathBuf,
    bytes: Bytes,
}

enum Bytes {
    Mapped(Mmap),
    InMemory(Cow<'static, [u8]>),
}

impl Mapping {
    /// Maps the file at `path`: bytes come from disk when they are looked at.
    ///
    /// # Errors
    /// There is none, it may not be read, or it is not a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Before it is opened: opening a pipe would wait for ever.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let file = File::open(path)?;
        // SAFETY: the map is read-only. No process may truncate the file while a model computes with it; that holds for every
        // memory map, and the only alternative is a copy of many gigabytes in each process. To save over a model is to put a
        // new file in its place.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self(Arc::new(Inner { path: path.to_owned(), bytes: Bytes::Mapped(map) })))
    }

    /// A file in memory; `name` stands for it in errors.
    pub fn in_memory(name: &Path, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Self(Arc::new(Inner { path: name.to_owned(), bytes: Bytes::InMemory(bytes.into()) }))
    }

    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub fn whole(&self) -> &[u8] {
        match &self.0.bytes {
            Bytes::Mapped(map) => map,
            Bytes::InMemory(bytes) => bytes,
        }
    }

    /// # Panics
    /// If `range` is not within the file.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.whole()[range]
    }

    /// Lets the system start reading, which it does faster in one go than page by page.
    pub fn will_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Bytes::Mapped(map) = &self.0.bytes {
            // Only a hint.
            let _ = map.advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        }
        #[cfg(not(unix))]
        let _ = range;
    }

    /// Gives pages back: a page that was looked at counts as this process's memory until then, and loading would take twice
    /// the model's size.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Bytes::Mapped(map) = &self.0.bytes {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the map is a read-only view of a file, so that a dropped page comes back as it was.
            let dropped = unsafe { map.unchecked_advise_range(advice, range.start, range.len()) };
            // Only a hint: where the system refuses it, the memory is given back when the file is closed.
            let _ = dropped;
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}
