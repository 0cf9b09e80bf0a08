//! Thin products beside the machine's best reader: bytes of weights per second, by format, shape and threads.
//!
//!     cargo bench -p glass-kernels --bench thin
//!     cargo bench -p glass-kernels --bench thin -- Q4_K bf16
//!     GLASS_ISA=avx2 cargo bench -p glass-kernels --bench thin
//!
//! A model is a stack of matrices, each of which is multiplied once in a pass: one stack that the last-level cache holds, and
//! one that it does not. Every figure is the best of some passes. The reader and the product take turns, so that both have
//! the same moments of the machine.

use std::{env, hint::black_box, time::Instant};

use bytemuck::cast_slice;
use glass_kernels::{
    Matrix, matmul_t, matmul_t_bf16, matmul_t_blocks, matmul_t_panels, matmul_t_quantized,
    quant::{BlockFormat, BlockMatrix, Panels, QuantFormat, QuantizedMatrix, groups, words, zero_words},
};
use half::{bf16, f16, slice::HalfBitsSliceExt};
use rayon::prelude::*;

/// Rows and columns.
const SHAPES: [[usize; 2]; 5] = [[512, 512], [1536, 576], [2048, 2048], [2048, 5632], [32000, 512]];

/// Bytes of a stack.
const STACKS: [usize; 2] = [20 << 20, 400 << 20];

const PASSES: usize = 7;

/// Words that a reader takes at a time: 256 KiB.
const PIECE: usize = 1 << 15;

#[derive(Clone, Copy)]
enum Format {
    F32,
    F16,
    Bf16,
    /// bfloat16, and vectors too.
    Bf16ByBf16,
    Planar(QuantFormat),
    Blocks(BlockFormat),
    /// Rows side by side, where a kernel reads such.
    Strips(QuantFormat),
    StripsOfBlocks(BlockFormat),
}

impl Format {
    fn all() -> Vec<Self> {
        let mut all = vec![Self::F32, Self::F16, Self::Bf16, Self::Bf16ByBf16];
        all.extend([QuantFormat::Int8, QuantFormat::Int4, QuantFormat::Mxfp4].map(Self::Planar));
        all.extend(BlockFormat::ALL.map(Self::Blocks));
        all.extend([QuantFormat::Int8, QuantFormat::Int4].map(Self::Strips));
        all.extend(BlockFormat::ALL.map(Self::StripsOfBlocks));
        all
    }

    fn name(self) -> String {
        match self {
            Self::F32 => "f32".into(),
            Self::F16 => "f16".into(),
            Self::Bf16 => "bf16".into(),
            Self::Bf16ByBf16 => "bf16*bf16".into(),
            Self::Planar(format) => format!("{format:?}"),
            Self::Blocks(format) => format.to_string(),
            Self::Strips(format) => format!("{format:?}/16"),
            Self::StripsOfBlocks(format) => format!("{format}/16"),
        }
    }

    /// Bytes of a matrix; `None` if its rows are not whole blocks.
    fn bytes(self, [rows, columns]: [usize; 2]) -> Option<usize> {
        Some(match self {
            Self::F32 => 4 * rows * columns,
            Self::F16 | Self::Bf16 | Self::Bf16ByBf16 => 2 * rows * columns,
            Self::Planar(format) | Self::Strips(format) => {
                rows * (4 * words(columns, format) + 2 * groups(columns) + 4 * zero_words(columns, format))
            }
            Self::Blocks(format) | Self::StripsOfBlocks(format) => {
                let whole = columns.is_multiple_of(format.block_len());
                whole.then(|| rows * format.row_bytes(columns))?
            }
        })
    }

    fn planar(self, bytes: &[u8], [rows, columns]: [usize; 2]) -> Option<QuantizedMatrix<'_>> {
        let (Self::Planar(format) | Self::Strips(format)) = self else { return None };
        let (quants, rest) = bytes.split_at(4 * rows * words(columns, format));
        let (zero_points, scales) = rest.split_at(4 * rows * zero_words(columns, format));
        let scales: &[f16] = cast_slice::<u8, u16>(scales).reinterpret_cast();
        Some(QuantizedMatrix::new(format, cast_slice(quants), scales, cast_slice(zero_points), columns))
    }

    fn multiply(self, bytes: &[u8], [rows, columns]: [usize; 2], x: &[f32], halves: &[bf16], y: &mut [f32]) {
        match self {
            Self::F32 => matmul_t(x, &mut [(Matrix::<f32>::new(cast_slice(bytes), columns), y)]),
            Self::F16 => {
                let values: &[f16] = cast_slice::<u8, u16>(bytes).reinterpret_cast();
                matmul_t(x, &mut [(Matrix::new(values, columns), y)]);
            }
            Self::Bf16 => {
                let values: &[bf16] = cast_slice::<u8, u16>(bytes).reinterpret_cast();
                matmul_t(x, &mut [(Matrix::new(values, columns), y)]);
            }
            Self::Bf16ByBf16 => {
                let values: &[bf16] = cast_slice::<u8, u16>(bytes).reinterpret_cast();
                matmul_t_bf16(halves, &mut [(Matrix::new(values, columns), y)]);
            }
            Self::Planar(_) | Self::Strips(_) => {
                let Some(matrix) = self.planar(bytes, [rows, columns]) else { return };
                matmul_t_quantized(x, &mut [(matrix, y)]);
            }
            Self::Blocks(format) | Self::StripsOfBlocks(format) => {
                matmul_t_blocks(x, &mut [(BlockMatrix::new(format, bytes, columns), y)]);
            }
        }
    }
}

/// Bytes per second.
fn rate(bytes: usize, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    bytes as f64 / start.elapsed().as_secs_f64()
}

fn read(words: &[u64]) {
    let sum = |words: &[u64]| words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word));
    black_box(words.par_chunks(PIECE).with_max_len(1).map(sum).reduce(|| 0, u64::wrapping_add));
}

fn main() {
    let wanted: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let vectors = env::var("VECTORS").map_or(1, |n| n.parse().expect("a number of vectors"));
    // A pattern whose bytes are ordinary numbers in every format.
    let memory = vec![0x3333_3333_3333_3333_u64; STACKS[1] / 8];
    let most = rayon::current_num_threads();
    for threads in if most > 1 { vec![1, most] } else { vec![1] } {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        println!("\n{threads} threads, {vectors} vectors: GB/s (share of the best reader)");
        println!("{:<10}{:>12}{:>20}{:>20}", "", "", "20 MiB", "400 MiB");
        for format in Format::all() {
            if !wanted.is_empty() && !wanted.contains(&format.name()) {
                continue;
            }
            for shape in SHAPES {
                let Some(bytes) = format.bytes(shape) else { continue };
                let [rows, columns] = shape;
                let x: Vec<f32> = (0..vectors * columns).map(|i| (i % 7) as f32 - 3.0).collect();
                let halves: Vec<bf16> = x.iter().copied().map(bf16::from_f32).collect();
                let mut y = vec![0.0; vectors * rows];
                print!("{:<10}{:>12}", format.name(), format!("{rows}x{columns}"));
                for stack in STACKS {
                    let mut best = [0.0_f64; 2];
                    let matrices = (stack / bytes.next_multiple_of(64)).max(1);
                    let matrix = |at: usize| &cast_slice(&memory)[at * bytes.next_multiple_of(64)..][..bytes];
                    let strips: Vec<Panels> = match format {
                        Format::Strips(_) => {
                            let planar = (0..matrices).map_while(|at| format.planar(matrix(at), shape));
                            planar.map_while(Panels::of).collect()
                        }
                        Format::StripsOfBlocks(format) => {
                            let blocks = (0..matrices).map(|at| BlockMatrix::new(format, matrix(at), columns));
                            blocks.map_while(Panels::of_blocks).collect()
                        }
                        _ => Vec::new(),
                    };
                    for _ in 0..PASSES {
                        let product = pool.install(|| {
                            rate(matrices * bytes, || {
                                for at in 0..matrices {
                                    match strips.get(at) {
                                        Some(panels) => matmul_t_panels(&x, &mut [(panels, &mut y)]),
                                        None => format.multiply(matrix(at), shape, &x, &halves, &mut y),
                                    }
                                }
                                black_box(&y);
                            })
                        });
                        let reader = pool.install(|| rate(stack, || read(&memory[..stack / 8])));
                        best = [best[0].max(product), best[1].max(reader)];
                    }
                    let [product, reader] = best;
                    print!("{:>12.1} ({:>3.0} %)", product / 1e9, product / reader * 100.0);
                }
                println!();
            }
        }
    }
}
