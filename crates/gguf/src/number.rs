//! Little-endian numbers.

/// A number as it lies in a file.
pub trait Number: Copy {
    const BYTES: usize;

    /// # Panics
    /// If these are not as many bytes as it has.
    fn read(bytes: &[u8]) -> Self;

    /// As many numbers as `bytes` has whole ones of.
    fn all(bytes: &[u8]) -> Vec<Self> {
        bytes.chunks_exact(Self::BYTES).map(Self::read).collect()
    }

    fn append(self, out: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const BYTES: usize = size_of::<Self>();

            fn read(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(bytes);
                Self::from_le_bytes(own)
            }

            fn append(self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }
        }
    )*};
}

numbers!(u8, i8, u16, i16, u32, i32, f32, u64, i64, f64);
