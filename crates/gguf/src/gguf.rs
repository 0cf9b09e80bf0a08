//! A model's file, or all splits of one.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use indexmap::IndexMap;

use crate::error::quoted;
use crate::foreign::MAGIC;
use crate::header::{self, Entry, Header};
use crate::splits::{self, Split};
use crate::{GgmlType, GgufError, Mapping, Metadata};

/// An opened model. Files are mapped into memory, not read: opening costs the headers only, and bytes come from disk when a
/// tensor is looked at.
pub struct Gguf {
    metadata: Metadata,
    files: Vec<Mapping>,
    tensors: IndexMap<String, Place>,
    warnings: Vec<String>,
}

struct Place {
    file: usize,
    ty: GgmlType,
    shape: Vec<usize>,
    range: Range<usize>,
}

/// One tensor as it lies in its file.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    pub name: &'a str,
    /// The file that holds it.
    pub file: &'a Path,
    pub ty: GgmlType,
    /// Row-major, outermost dimension first (the file has them the other way round); empty for a scalar.
    pub shape: &'a [usize],
    /// Little-endian numbers or blocks, as many as `shape` says; a view into the file.
    pub bytes: &'a [u8],
}

impl Gguf {
    /// Whether a file is called as GGUF files are.
    pub fn is_name(path: &Path) -> bool {
        path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"))
    }

    /// Whether there is a file at `path` that is called as GGUF files are, or begins as they do.
    pub fn is_at(path: &Path) -> bool {
        let mut magic = [0; MAGIC.len()];
        let mut begins = || File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == MAGIC;
        path.is_file() && (Self::is_name(path) || begins())
    }

    /// Opens the file at `path`, and if it is the first of several splits (`NAME-00001-of-0000N.gguf`) the others too.
    ///
    /// # Errors
    /// Anything that makes the files not exactly what their headers describe, see [`GgufError`].
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let first = Mapping::open(path).map_err(|source| GgufError::Read { file: path.to_owned(), source })?;
        let mut gguf = Self::none(path);
        gguf.metadata = gguf.add(first)?;
        let split = Split::of(&gguf.metadata)?;
        if let Some(names) = split.names(path)? {
            for number in 2..=split.count {
                let file = path.with_file_name(names.of(number));
                let mapping = Mapping::open(&file).map_err(|source| splits::not_there(path, file.clone(), source))?;
                let metadata = gguf.add(mapping)?;
                Split::of(&metadata)?.check(&file, number, &split, path)?;
            }
        }
        split.check_tensors(path, gguf.tensors.len())?;
        Ok(gguf)
    }

    /// The bytes of a whole file; `name` stands for it in errors.
    ///
    /// # Errors
    /// As for [`open`](Self::open); one of several splits is refused.
    pub fn from_bytes(name: &Path, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, GgufError> {
        let mut gguf = Self::none(name);
        gguf.metadata = gguf.add(Mapping::in_memory(name, bytes))?;
        Split::of(&gguf.metadata)?.check_whole(name)?;
        Ok(gguf)
    }

    fn none(origin: &Path) -> Self {
        let metadata = Metadata::new(origin);
        Self { metadata, files: Vec::new(), tensors: IndexMap::new(), warnings: Vec::new() }
    }

    /// Adds the tensors of a file, and gives its keys.
    fn add(&mut self, mapping: Mapping) -> Result<Metadata, GgufError> {
        let Header { metadata, tensors, beyond } = header::read(mapping.path(), mapping.whole())?;
        let path = mapping.path().display();
        if beyond > 0 {
            self.warnings.push(format!(
                "{path} has {beyond} bytes behind its last tensor, which its header does not describe; they are not used"
            ));
        }
        for Entry { name, ty, shape, range } in tensors {
            // A header's own names are unique, so the earlier one is in another split.
            if let Some(earlier) = self.tensors.get(&name) {
                let first = self.files[earlier.file].path().display();
                let reason = format!("tensor {} is in {first} too; fetch the splits again", quoted(&name));
                return Err(GgufError::Split { file: mapping.path().to_owned(), reason });
            }
            self.tensors.insert(name, Place { file: self.files.len(), ty, shape, range });
        }
        self.files.push(mapping);
        Ok(metadata)
    }

    /// The keys; of several splits those of the first.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// All tensors, in the order of their data.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = Tensor<'_>> {
        self.tensors.iter().map(|(name, place)| self.tensor(name, place))
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        self.tensors.get_key_value(name).map(|(name, place)| self.tensor(name, place))
    }

    /// The file that holds tensor `name`, and where in it its bytes are.
    pub fn place(&self, name: &str) -> Option<(&Mapping, Range<usize>)> {
        self.tensors.get(name).map(|place| (&self.files[place.file], place.range.clone()))
    }

    /// Bytes of all tensors together, headers and padding not counted.
    pub fn total_bytes(&self) -> u64 {
        self.tensors.values().map(|place| place.range.len() as u64).sum()
    }

    /// The files: one, or all splits in their order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.iter().map(Mapping::path)
    }

    /// One line for each thing that is odd but does not stop loading, to be shown to the user.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn tensor<'a>(&'a self, name: &'a str, place: &'a Place) -> Tensor<'a> {
        let file = &self.files[place.file];
        Tensor { name, file: file.path(), ty: place.ty, shape: &place.shape, bytes: file.bytes(place.range.clone()) }
    }
}
