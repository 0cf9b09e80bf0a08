//! What kernels read: numbers in float32.

use burn::{
    backend::{Flex, TensorMetadata, flex::FlexTensor},
    tensor::{DType, Element as BurnElement, Shape, Tensor, TensorData},
};
use bytemuck::Pod;
use glass_kernels::{self as cpu, Float, Isa, RmsNorm, Scratch, View};
use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::{lent::Lent, output::round};

/// A tensor's numbers as float32: where they lie, or converted from 16 bits.
pub struct Floats<'a> {
    numbers: Numbers<'a>,
    shape: Shape,
    /// That of the tensor.
    pub dtype: DType,
}

enum Numbers<'a> {
    Lent(Lent<'a>),
    Own(FlexTensor),
    Wide(Scratch),
}

impl Floats<'static> {
    /// Those of a tensor that is no longer needed, in a row.
    pub fn own<const D: usize>(x: Tensor<D>) -> Option<Self> {
        let x = x.try_into_primitive::<Flex>().ok()?;
        Self::whole(if x.is_contiguous() { x } else { x.to_contiguous() })
    }

    fn whole(x: FlexTensor) -> Option<Self> {
        let (shape, dtype) = (x.shape(), x.dtype());
        let numbers = if dtype == DType::F32 { Numbers::Own(x) } else { Numbers::Wide(widened(&x)?) };
        Some(Self { numbers, shape, dtype })
    }
}

impl<'a> Floats<'a> {
    /// In a row.
    pub fn of<const D: usize>(x: &'a Tensor<D>) -> Option<Self> {
        let lent = Lent::of(x)?;
        if !lent.is_contiguous() {
            return Floats::whole(lent.to_contiguous());
        }
        let (shape, dtype) = (lent.shape(), lent.dtype());
        let numbers = if dtype == DType::F32 { Numbers::Lent(lent) } else { Numbers::Wide(widened(&lent)?) };
        Some(Self { numbers, shape, dtype })
    }

    /// `[batch, heads, seq, head_dim]` with any strides, if the vectors of `head_dim` are whole.
    pub fn where_it_lies(x: &'a Tensor<4>) -> Option<Self> {
        let lent = Lent::of(x)?;
        if lent.dtype() == DType::F32 && view::<f32>(&lent).is_some() {
            let shape = lent.shape();
            Some(Self { numbers: Numbers::Lent(lent), shape, dtype: DType::F32 })
        } else {
            Self::of(x)
        }
    }

    /// The same through a norm, rounded as a tensor of their type is.
    pub fn normed(self, weight: &Tensor<1>, norm: RmsNorm) -> Option<Floats<'static>> {
        let weight = Floats::of(weight)?;
        let len = self.values().len();
        let mut out = Scratch::of_any_values::<f32>(len);
        let values = &mut out.values_mut()[..len];
        cpu::rms_norm(Isa::best(), self.values(), weight.values(), norm, values);
        round(values, self.dtype);
        Some(Floats { numbers: Numbers::Wide(out), shape: self.shape, dtype: self.dtype })
    }

    /// All of them, in a row.
    pub fn values(&self) -> &[f32] {
        let tensor: &FlexTensor = match &self.numbers {
            Numbers::Wide(wide) => return &wide.values()[..self.shape.num_elements()],
            Numbers::Lent(lent) => lent,
            Numbers::Own(own) => own,
        };
        match tensor.as_slice() {
            Some(values) => values,
            None => unreachable!("made contiguous"),
        }
    }

    pub fn view(&self) -> View<'_, f32> {
        let tensor: &FlexTensor = match &self.numbers {
            Numbers::Wide(_) => {
                let shape @ [_, heads, seq, head_dim] = self.shape();
                return View::new(self.values(), shape, [heads * seq * head_dim, seq * head_dim, head_dim]);
            }
            Numbers::Lent(lent) => lent,
            Numbers::Own(own) => own,
        };
        match view(tensor) {
            Some(view) => view,
            None => unreachable!("looked at, or made contiguous"),
        }
    }

    pub fn shape<const D: usize>(&self) -> [usize; D] {
        self.shape.dims()
    }

    /// Results in the type and the shape of these numbers.
    pub fn like<const D: usize>(&self, values: Vec<f32>) -> Tensor<D> {
        self.shaped(values, self.shape())
    }

    /// Results in the type of these numbers.
    pub fn shaped<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        floats(values, shape, self.dtype)
    }
}

/// Results in type `dtype`.
pub fn floats<const D: usize>(values: Vec<f32>, shape: [usize; D], dtype: DType) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(FlexTensor::from_data(match dtype {
        DType::F16 => TensorData::new(narrowed::<f16>(&values), shape),
        DType::BF16 => TensorData::new(narrowed::<bf16>(&values), shape),
        _ => TensorData::new(values, shape),
    }))
}

fn narrowed<T: Float + Default + Clone>(values: &[f32]) -> Vec<T> {
    let mut narrowed = vec![T::default(); values.len()];
    cpu::narrow(Isa::best(), values, &mut narrowed);
    narrowed
}

/// 16 bits as float32; `None` of other types.
fn widened(x: &FlexTensor) -> Option<Scratch> {
    let mut wide = Scratch::of_any_values::<f32>(x.layout().num_elements());
    let values = &mut wide.values_mut()[..x.layout().num_elements()];
    match x.dtype() {
        DType::F16 => x.as_slice::<f16>()?.convert_to_f32_slice(values),
        DType::BF16 => x.as_slice::<bf16>()?.convert_to_f32_slice(values),
        _ => return None,
    }
    Some(wide)
}

/// `[batch, heads, seq, head_dim]` where it lies; `None` if its vectors of `head_dim` are not whole.
pub fn view<T: BurnElement + Pod>(x: &FlexTensor) -> Option<View<'_, T>> {
    let (from, shape, strides) = place(x)?;
    let storage = x.storage::<T>();
    Some(View::new(&storage[from.min(storage.len())..], shape, strides))
}

/// Where a tensor begins in its memory, its shape, and the strides of all axes but the last, whose is 1.
pub fn place(x: &FlexTensor) -> Option<(usize, [usize; 4], [usize; 3])> {
    let layout = x.layout();
    let shape: [usize; 4] = layout.shape().dims();
    let [batch, head, seq, inner] = *layout.strides() else {
        return None;
    };
    if inner != 1 && shape[3] > 1 {
        return None;
    }
    let stride = |stride: isize| usize::try_from(stride).ok();
    Some((layout.start_offset(), shape, [stride(batch)?, stride(head)?, stride(seq)?]))
}
