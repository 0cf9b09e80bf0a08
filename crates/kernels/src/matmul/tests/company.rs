//! How many vectors may be multiplied together without a bit of one depending on the others.

use super::*;

/// Up to `most_as_alone` of them, of every kind of weights, whatever is left of a tile of vectors.
#[test]
fn as_many_as_the_kind_says_have_the_bits_of_each_alone() {
    let (rows, columns) = (37, 256);
    let floats = random(rows * columns, 1);
    let halves: Vec<f16> = floats.iter().copied().map(f16::from_f32).collect();
    let pairs = narrowed(&floats);
    let planar = [QuantFormat::Int8, QuantFormat::Int4, QuantFormat::Mxfp4];
    let planar = planar.map(|format| Quantized::random([rows, columns], format, 3));
    let blocks = BlockFormat::ALL.map(|format| (format, random_blocks(rows, format, columns, 3)));
    let in_blocks = blocks.iter().map(|(format, blocks)| BlockMatrix::new(*format, blocks, columns));
    let panels = planar.iter().map(|matrix| Panels::of(matrix.view())).chain(in_blocks.map(Panels::of_blocks));
    let panels: Vec<Panels> = panels.flatten().collect();
    for kind in WeightKind::ALL {
        let most = kind.most_as_alone().min(70);
        assert!(most >= 8, "{kind:?}: tiles of vectors are shared");
        for n in [2, 3, 5, 7, most / 2, most - 1, most] {
            let x = random(n * columns, 5);
            // Of all matrices, whose rows lie one behind the other for each vector.
            let multiply = |x: &[f32]| {
                let own = || vec![f32::NAN; x.len() / columns * rows];
                let mut all: Vec<Vec<f32>> = Vec::new();
                let mut add = |multiply: &dyn Fn(&mut [f32])| {
                    let mut y = own();
                    multiply(&mut y);
                    all.push(y);
                };
                match kind {
                    WeightKind::F32 => add(&|y| matmul_t(x, &mut [(Matrix::new(&floats, columns), y)])),
                    WeightKind::Halves => {
                        add(&|y| matmul_t(x, &mut [(Matrix::new(&halves, columns), y)]));
                        add(&|y| matmul_t(x, &mut [(Matrix::new(&pairs, columns), y)]));
                    }
                    WeightKind::Pairs => {
                        add(&|y| matmul_t_bf16(&narrowed(x), &mut [(Matrix::new(&pairs, columns), y)]))
                    }
                    WeightKind::Quantized => {
                        planar.iter().for_each(|matrix| add(&|y| matmul_t_quantized(x, &mut [(matrix.view(), y)])));
                        for (format, blocks) in &blocks {
                            add(&|y| matmul_t_blocks(x, &mut [(BlockMatrix::new(*format, blocks, columns), y)]));
                        }
                        panels.iter().for_each(|panels| add(&|y| matmul_t_panels(x, &mut [(panels, y)])));
                    }
                }
                let vectors = 0..x.len() / columns;
                let rows_of = |vector: usize| all.iter().flat_map(move |y| y[vector * rows..][..rows].iter().copied());
                vectors.flat_map(rows_of).collect::<Vec<f32>>()
            };
            assert_rows_alone(&x, &multiply(&x), columns, &format!("{kind:?}, {n} vectors"), multiply);
        }
    }
}
