//! Reading a header step by step, with nothing taken on trust: what is claimed is held against what is left of the file
//! before memory is taken for it.

use crate::number::Number;
use crate::value::{Array, Strings, Value, ValueType};

/// Of keys and names. The format's limit for keys.
const LONGEST_NAME: usize = 65_535;

/// Arrays within arrays; nobody writes any.
const DEEPEST: usize = 4;

/// A place in a file.
pub struct Cursor<'a> {
    bytes: &'a [u8],
    pub at: usize,
}

/// What is wrong, in words.
type Read<T> = Result<T, String>;

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..length) else {
            return Err(format!("{length} bytes belong at byte {}, where the file has {} more", self.at, rest.len()));
        };
        self.at += length;
        Ok(taken)
    }

    pub fn number<T: Number>(&mut self) -> Read<T> {
        Ok(T::read(self.take(T::BYTES)?))
    }

    /// A number of things that take at least `bytes` each.
    pub fn count(&mut self, bytes: usize, what: &str) -> Read<usize> {
        let (at, count) = (self.at, self.number::<u64>()?);
        let left = self.bytes.len() - self.at;
        let possible = usize::try_from(count).ok().filter(|count| *count <= left / bytes);
        possible.ok_or_else(|| format!("{count} {what} are claimed at byte {at}, and the file has {left} bytes more"))
    }

    fn text(&mut self) -> Read<&'a str> {
        let length = self.count(1, "bytes of a string")?;
        let at = self.at;
        let text = str::from_utf8(self.take(length)?);
        text.map_err(|error| format!("the string at byte {at} is no UTF-8 from its byte {} on", error.valid_up_to()))
    }

    /// A key, or the name of a tensor.
    pub fn name(&mut self) -> Read<&'a str> {
        match self.text()? {
            "" => Err("its name is empty".to_owned()),
            name if name.len() > LONGEST_NAME => {
                Err(format!("its name has {} bytes, and {LONGEST_NAME} are possible", name.len()))
            }
            name => Ok(name),
        }
    }

    pub fn value_type(&mut self) -> Read<ValueType> {
        let number: u32 = self.number()?;
        let ty = ValueType::ALL.get(number as usize).copied();
        ty.ok_or_else(|| format!("its value has the unknown type {number}"))
    }

    pub fn value(&mut self, ty: ValueType) -> Read<Value> {
        Ok(match ty {
            ValueType::U8 => Value::U8(self.number()?),
            ValueType::I8 => Value::I8(self.number()?),
            ValueType::U16 => Value::U16(self.number()?),
            ValueType::I16 => Value::I16(self.number()?),
            ValueType::U32 => Value::U32(self.number()?),
            ValueType::I32 => Value::I32(self.number()?),
            ValueType::F32 => Value::F32(self.number()?),
            ValueType::Bool => Value::Bool(flag(self.number()?)?),
            ValueType::String => Value::String(self.text()?.to_owned()),
            ValueType::Array => Value::Array(self.array(DEEPEST)?),
            ValueType::U64 => Value::U64(self.number()?),
            ValueType::I64 => Value::I64(self.number()?),
            ValueType::F64 => Value::F64(self.number()?),
        })
    }

    /// An array that may hold arrays `depth - 1` deep.
    fn array(&mut self, depth: usize) -> Read<Array> {
        if depth == 0 {
            return Err(format!("its arrays are more than {DEEPEST} deep"));
        }
        let ty = self.value_type()?;
        let count = self.count(ty.least_bytes(), "values of an array")?;
        Ok(match ty {
            ValueType::U8 => Array::U8(self.numbers(count)?),
            ValueType::I8 => Array::I8(self.numbers(count)?),
            ValueType::U16 => Array::U16(self.numbers(count)?),
            ValueType::I16 => Array::I16(self.numbers(count)?),
            ValueType::U32 => Array::U32(self.numbers(count)?),
            ValueType::I32 => Array::I32(self.numbers(count)?),
            ValueType::F32 => Array::F32(self.numbers(count)?),
            ValueType::Bool => Array::Bool(self.take(count)?.iter().map(|&byte| flag(byte)).collect::<Read<_>>()?),
            ValueType::String => Array::String(self.strings(count)?),
            ValueType::Array => {
                let mut arrays = Vec::new();
                for _ in 0..count {
                    arrays.push(self.array(depth - 1)?);
                }
                Array::Array(arrays)
            }
            ValueType::U64 => Array::U64(self.numbers(count)?),
            ValueType::I64 => Array::I64(self.numbers(count)?),
            ValueType::F64 => Array::F64(self.numbers(count)?),
        })
    }

    /// So many numbers; `count` has been held against the file.
    fn numbers<T: Number>(&mut self, count: usize) -> Read<Vec<T>> {
        Ok(T::all(self.take(count * T::BYTES)?))
    }

    fn strings(&mut self, count: usize) -> Read<Strings> {
        let mut strings = Strings::default();
        for index in 0..count {
            strings.push(self.text().map_err(|reason| format!("string {index} of {count}: {reason}"))?);
        }
        Ok(strings)
    }
}

fn flag(byte: u8) -> Read<bool> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(format!("a bool is {byte}, neither 0 nor 1")),
    }
}
