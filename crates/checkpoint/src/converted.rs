//! A checkpoint as a source of tensors to save.

use std::borrow::Cow;

use glass_backend::{Dtype, WeightError};

use crate::files::Files;
use crate::idle::is_idle;
use crate::save_error::SaveError;
use crate::writer::{TensorSource, TensorSpec};
use crate::{Names, convert_bytes, float, stored};

/// The tensors of a checkpoint, in one type or each in its own.
pub struct Converted<'a> {
    files: &'a Files,
    dtype: Option<Dtype>,
    /// The tensor whose bytes were looked at last.
    last: Option<String>,
    overflowed: Vec<(String, usize, Dtype)>,
}

impl<'a> Converted<'a> {
    /// With `dtype`, every tensor in that; without, bit for bit as it is.
    ///
    /// # Errors
    /// [`SaveError::Dtype`]: a tensor that would have to be converted and is not of a float type that is. A tensor that is no
    /// weight may keep its type.
    pub fn new(files: &'a Files, dtype: Option<Dtype>) -> Result<Self, SaveError> {
        if let Some(wanted) = dtype {
            let names = Names::find(files.names(), false);
            for (name, tensor) in files.names().filter_map(|name| Some((name, files.get(name)?))) {
                if float(tensor.dtype).is_err() && !is_idle(names.in_model(name), &tensor) {
                    return Err(SaveError::Dtype {
                        file: tensor.file.to_owned(),
                        tensor: name.to_owned(),
                        found: tensor.dtype,
                        wanted,
                    });
                }
            }
        }
        Ok(Self { files, dtype, last: None, overflowed: Vec::new() })
    }

    /// One line for each tensor that has values which its new type cannot reach.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.overflowed.iter().map(|(name, count, dtype)| {
            format!("{count} values of {name} are too large for {dtype} and became infinite: use --dtype f32")
        })
    }
}

impl TensorSource for Converted<'_> {
    fn tensors(&self) -> Vec<TensorSpec> {
        self.files
            .names()
            .filter_map(|name| {
                let tensor = self.files.get(name)?;
                Some(TensorSpec {
                    name: name.to_owned(),
                    dtype: self.dtype.filter(|_| float(tensor.dtype).is_ok()).map_or(tensor.dtype, stored),
                    shape: tensor.shape.to_vec(),
                })
            })
            .collect()
    }

    fn bytes(&mut self, name: &str) -> Result<Cow<'_, [u8]>, WeightError> {
        if let Some(last) = self.last.replace(name.to_owned()) {
            self.files.release(&last);
        }
        let Some(tensor) = self.files.get(name) else {
            return Err(WeightError::Missing {
                origin: self.files.origin().display().to_string(),
                name: name.to_owned(),
                found: "the files do not hold it".to_owned(),
            });
        };
        let (to, from) = match (self.dtype, float(tensor.dtype)) {
            (Some(to), Ok(from)) if from != to.into() => (to, from),
            _ => return Ok(Cow::Borrowed(tensor.bytes)),
        };
        let mut bytes = vec![0; tensor.bytes.len() / from.bytes() * to.bytes()];
        let overflowed = convert_bytes(tensor.bytes, from, &mut bytes, to);
        if overflowed > 0 {
            self.overflowed.push((name.to_owned(), overflowed, to));
        }
        Ok(Cow::Owned(bytes))
    }
}
