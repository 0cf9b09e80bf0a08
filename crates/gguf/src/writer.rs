//! Writing a file, as llama.cpp does: the header, then each tensor's data, each padded to the alignment.

use std::collections::HashSet;
use std::io::{self, Write};

use crate::header::{ALIGNMENT, alignment};
use crate::number::Number;
use crate::value::{Array, Value};
use crate::{GgmlType, GgufError, Metadata};

const VERSION: u32 = 3;

/// llama.cpp reads no longer names of tensors, in bytes.
const LONGEST_NAME: usize = 63;

const MAX_DIMENSIONS: usize = 4;

/// A tensor to be written, but for its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    pub name: String,
    pub ty: GgmlType,
    /// Row-major, outermost dimension first; empty for a scalar.
    pub shape: Vec<usize>,
}

/// A file to be written: what its header says.
pub struct Writer {
    header: Vec<u8>,
    alignment: usize,
    tensors: Vec<(TensorInfo, usize)>,
}

impl Writer {
    /// A file of these keys and tensors, in this order.
    ///
    /// # Errors
    /// A tensor or an alignment that no file can have, or that llama.cpp would not read.
    pub fn new(metadata: &Metadata, tensors: Vec<TensorInfo>) -> Result<Self, GgufError> {
        let alignment = alignment(metadata)
            .map_err(|_| metadata.wrong(ALIGNMENT, "a u32 that is a power of two and a multiple of 8"))?
            as usize;
        let mut header = b"GGUF".to_vec();
        VERSION.append(&mut header);
        (tensors.len() as u64).append(&mut header);
        (metadata.len() as u64).append(&mut header);
        for (key, value) in metadata.iter() {
            text(key, &mut header);
            value.value_type().number().append(&mut header);
            put(value, &mut header);
        }
        let mut names = HashSet::new();
        let mut offset: u64 = 0;
        let mut sized = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let bytes = check(&tensor).map_err(|reason| unwritable(&tensor, reason))?;
            if !names.insert(tensor.name.clone()) {
                return Err(unwritable(&tensor, "there are two of this name".to_owned()));
            }
            text(&tensor.name, &mut header);
            (tensor.shape.len() as u32).append(&mut header);
            // The file has the innermost first.
            tensor.shape.iter().rev().for_each(|&size| (size as u64).append(&mut header));
            tensor.ty.number().append(&mut header);
            offset.append(&mut header);
            offset += (bytes as u64).next_multiple_of(alignment as u64);
            sized.push((tensor, bytes));
        }
        header.resize(header.len().next_multiple_of(alignment), 0);
        Ok(Self { header, alignment, tensors: sized })
    }

    /// The bytes of the whole file.
    pub fn bytes(&self) -> u64 {
        let padded = |bytes: usize| (bytes as u64).next_multiple_of(self.alignment as u64);
        self.header.len() as u64 + self.tensors.iter().map(|(_, bytes)| padded(*bytes)).sum::<u64>()
    }

    /// Writes the file. `data` is asked for one tensor after the other, in their order, and writes its little-endian numbers or
    /// blocks, so that a model larger than memory can be written.
    ///
    /// # Errors
    /// Those of `data` and of `out`; [`GgufError::Unwritable`] if `data` writes more or less than the tensor has.
    pub fn write<E: From<GgufError>>(
        &self,
        out: &mut dyn Write,
        mut data: impl FnMut(&TensorInfo, &mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let padding = vec![0; self.alignment];
        out.write_all(&self.header).map_err(GgufError::Write)?;
        for (tensor, bytes) in &self.tensors {
            let mut counted = Counted { out, written: 0 };
            data(tensor, &mut counted)?;
            let written = counted.written;
            if written != *bytes as u64 {
                let reason = format!("{written} bytes of data were given where its type and shape have {bytes}");
                return Err(unwritable(tensor, reason).into());
            }
            let padding = &padding[..bytes.next_multiple_of(self.alignment) - bytes];
            out.write_all(padding).map_err(GgufError::Write)?;
        }
        out.flush().map_err(GgufError::Write)?;
        Ok(())
    }
}

/// The bytes of a tensor.
fn check(tensor: &TensorInfo) -> Result<usize, String> {
    if tensor.name.is_empty() || tensor.name.len() > LONGEST_NAME {
        return Err(format!("its name has {} bytes, and llama.cpp reads 1 to {LONGEST_NAME}", tensor.name.len()));
    }
    if tensor.shape.len() > MAX_DIMENSIONS {
        return Err(format!("it has {} dimensions, and {MAX_DIMENSIONS} are possible", tensor.shape.len()));
    }
    tensor.ty.bytes(&tensor.shape)
}

fn unwritable(tensor: &TensorInfo, reason: String) -> GgufError {
    GgufError::Unwritable { tensor: tensor.name.clone(), reason }
}

/// Counts what goes through it.
struct Counted<'a> {
    out: &'a mut dyn Write,
    written: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    (text.len() as u64).append(out);
    out.extend_from_slice(text.as_bytes());
}

fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::U8(n) => n.append(out),
        Value::I8(n) => n.append(out),
        Value::U16(n) => n.append(out),
        Value::I16(n) => n.append(out),
        Value::U32(n) => n.append(out),
        Value::I32(n) => n.append(out),
        Value::F32(n) => n.append(out),
        Value::Bool(is) => u8::from(*is).append(out),
        Value::String(string) => text(string, out),
        Value::Array(array) => put_array(array, out),
        Value::U64(n) => n.append(out),
        Value::I64(n) => n.append(out),
        Value::F64(n) => n.append(out),
    }
}

fn put_array(array: &Array, out: &mut Vec<u8>) {
    fn all<T: Number>(numbers: &[T], out: &mut Vec<u8>) {
        numbers.iter().for_each(|number| number.append(out));
    }
    array.element_type().number().append(out);
    (array.len() as u64).append(out);
    match array {
        Array::U8(numbers) => all(numbers, out),
        Array::I8(numbers) => all(numbers, out),
        Array::U16(numbers) => all(numbers, out),
        Array::I16(numbers) => all(numbers, out),
        Array::U32(numbers) => all(numbers, out),
        Array::I32(numbers) => all(numbers, out),
        Array::F32(numbers) => all(numbers, out),
        Array::Bool(flags) => flags.iter().for_each(|&is| u8::from(is).append(out)),
        Array::String(strings) => strings.iter().for_each(|string| text(string, out)),
        Array::Array(arrays) => arrays.iter().for_each(|array| put_array(array, out)),
        Array::U64(numbers) => all(numbers, out),
        Array::I64(numbers) => all(numbers, out),
        Array::F64(numbers) => all(numbers, out),
    }
}
