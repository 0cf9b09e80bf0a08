//! Files put together byte by byte, so that they can be wrong.

#[derive(Clone)]
pub struct Key {
    pub name: String,
    pub ty: u32,
    pub value: Vec<u8>,
}

impl Key {
    pub fn new(name: &str, ty: u32, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.to_owned(), ty, value: value.into() }
    }

    pub fn string(name: &str, value: &str) -> Self {
        Self::new(name, 8, text(value))
    }

    pub fn u16(name: &str, value: u16) -> Self {
        Self::new(name, 2, value.to_le_bytes())
    }
}

#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    /// As a file has it: the innermost first.
    pub dims: Vec<u64>,
    pub ty: u32,
    pub offset: u64,
}

impl Tensor {
    pub fn new(name: &str, dims: &[u64], ty: u32, offset: u64) -> Self {
        Self { name: name.to_owned(), dims: dims.to_vec(), ty, offset }
    }
}

#[derive(Clone)]
pub struct Raw {
    pub version: u32,
    pub keys: Vec<Key>,
    pub tensors: Vec<Tensor>,
    pub alignment: usize,
    /// Bytes of data.
    pub data: usize,
}

impl Default for Raw {
    fn default() -> Self {
        Self { version: 3, keys: Vec::new(), tensors: Vec::new(), alignment: 32, data: 0 }
    }
}

impl Raw {
    pub fn header(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.keys.len() as u64).to_le_bytes());
        for key in &self.keys {
            file.extend([text(&key.name), key.ty.to_le_bytes().to_vec(), key.value.clone()].concat());
        }
        for tensor in &self.tensors {
            file.extend(text(&tensor.name));
            file.extend((tensor.dims.len() as u32).to_le_bytes());
            file.extend(tensor.dims.iter().flat_map(|size| size.to_le_bytes()));
            file.extend(tensor.ty.to_le_bytes());
            file.extend(tensor.offset.to_le_bytes());
        }
        file
    }

    pub fn data_bytes(&self) -> Vec<u8> {
        (0..self.data).map(|i| (i % 251) as u8).collect()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut file = self.header();
        if self.data > 0 {
            file.resize(file.len().next_multiple_of(self.alignment), 0);
        }
        file.extend(self.data_bytes());
        file
    }
}

/// A string as a file has it.
pub fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}
