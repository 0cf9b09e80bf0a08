//! Angles that stay on a device from pass to pass, so that a token brings none along.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, PoisonError},
};

use burn::tensor::{Device as BurnDevice, Int, Tensor};
use glass_backend::RopeAngles;

use super::Rope;

/// Positions whose angles are made with the first; then as many again as there are, so that hardly a token brings any along.
const FIRST: usize = 8192;

/// What the table of a RoPE may take: 131,072 positions of heads of 128.
const MAX_BYTES: u64 = 64 << 20;

/// The angles of all positions up to some, of each set that a device has asked for.
#[derive(Default)]
pub(super) struct KeptAngles(Vec<Table>);

struct Table {
    device: BurnDevice,
    set: usize,
    /// `[1, positions, 2 * pairs]`
    angles: Tensor<3>,
}

impl Rope {
    /// The angles of the tokens at these positions, from a table on `device` that is made longer where it has to be; `None` if
    /// they are of no such table, or if it were larger than `most` bytes.
    pub(crate) fn kept(&self, spans: &[Range<usize>], device: &BurnDevice, most: Option<u64>) -> Option<RopeAngles> {
        let places: Vec<usize> = spans.iter().cloned().flatten().map(|position| self.place(position)).collect();
        let (mut rest, mut sets) = (&places[..], Vec::new());
        for span in spans {
            let (own, others) = rest.split_at(span.len());
            // As [`Rope::table`] has it: each sequence by the longest of its positions.
            sets.push(self.parameters.angle_set(own.iter().max()? + 1)?);
            rest = others;
        }
        let (first, length) = (*places.first()?, places.iter().max()? + 1);
        let set = *sets.first()?;
        let bytes = (positions(length) * self.parameters.rotary_dim(self.head_dim) * size_of::<f32>()) as u64;
        if sets.iter().any(|other| *other != set) || bytes == 0 || bytes > MAX_BYTES.min(most.unwrap_or(u64::MAX)) {
            return None;
        }
        let table = self.kept_up_to(length, set, device); // [1, length or more, 2 * pairs]
        let in_order = places.iter().enumerate().all(|(i, place)| *place == first + i);
        let (table, first) = match in_order {
            true => (table, first),
            false => {
                let places: Vec<i32> = places.iter().map(|&place| place as i32).collect();
                (table.select(1, Tensor::<1, Int>::from_data(&places[..], device)), 0) // [1, tokens, 2 * pairs]
            }
        };
        Some(RopeAngles { table: Arc::new(table), first, interleaved: self.parameters.interleaved })
    }

    /// `[1, length or more, 2 * pairs]`
    fn kept_up_to(&self, length: usize, set: usize, device: &BurnDevice) -> Tensor<3> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.0.iter().position(|table| table.device == *device && table.set == set);
        let from = known.map_or(0, |at| kept.0[at].angles.dims()[1]);
        let more = from..positions(length);
        let angles = || {
            let tokens = [1, more.len()];
            self.table_within(length, more.clone()).on_device(tokens, device) // [1, more, 2 * pairs]
        };
        match known {
            Some(at) => {
                let table = &mut kept.0[at].angles;
                if more.start < length {
                    *table = Tensor::cat(vec![table.clone(), angles()], 1); // [1, positions, 2 * pairs]
                }
                table.clone()
            }
            None => {
                let angles = angles();
                kept.0.push(Table { device: device.clone(), set, angles: angles.clone() });
                angles
            }
        }
    }
}

/// How many positions a table has for the first `length`.
fn positions(length: usize) -> usize {
    length.next_power_of_two().max(FIRST)
}

impl fmt::Debug for KeptAngles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|table| (table.set, table.angles.dims()))).finish()
    }
}

#[cfg(test)]
mod tests {
    use glass_config::LlamaConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::rope::RopeTable;

    fn rope(parameters: Value) -> Rope {
        let fields = json!({"model_type": "llama", "vocab_size": 8, "hidden_size": 32, "intermediate_size": 8,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 3000,
            "rope_parameters": parameters});
        let config = LlamaConfig::from_json(&fields.to_string(), "test", &[]).expect("a config");
        Rope::all(&config).remove(0)
    }

    fn spans(of: &[(usize, usize)]) -> Vec<Range<usize>> {
        of.iter().map(|&(start, end)| start..end).collect()
    }

    /// Those that each sequence has in a pass of its own.
    fn fresh(rope: &Rope, spans: &[Range<usize>], device: &BurnDevice) -> Vec<f32> {
        let mut all = RopeTable::default();
        for span in spans {
            all.append(rope.table(&[span.clone().map(|position| rope.place(position)).collect()]));
        }
        let tokens = spans.iter().map(Range::len).sum();
        all.on_device([1, tokens], device).try_into_vec_as::<f32>().expect("read back")
    }

    #[test]
    fn kept_angles_are_those_of_the_pass() {
        let device = BurnDevice::flex();
        let factors: Vec<f64> = (1..=8).map(f64::from).collect();
        let scaled = json!({"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 1500,
            "short_factor": vec![1.5; 8], "long_factor": factors});
        for (parameters, dynamic) in [
            (json!({"rope_type": "default", "rope_theta": 5e5}), false),
            (json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}), false),
            (json!({"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}), true),
            (scaled, false),
        ] {
            let rope = rope(parameters);
            // Short and long ones by turns; tables grow between.
            let within =
                [&[(0, 5)][..], &[(5, 6)], &[(1000, 1100), (3, 4)], &[(1600, 1602)], &[(2999, 3000), (2990, 2995)]];
            let beyond = [&[(8190, 8200)][..], &[(40_000, 40_001)], &[(9000, 9002), (20_000, 20_003)]];
            for of in within.into_iter().chain(beyond.into_iter().filter(|_| !dynamic)) {
                let spans = spans(of);
                let tokens = spans.iter().map(Range::len).sum();
                let kept = rope.kept(&spans, &device, None).expect("angles that stay").of_tokens(tokens);
                let kept = kept.try_into_vec_as::<f32>().expect("read back");
                assert_eq!(kept, fresh(&rope, &spans, &device), "{spans:?}");
            }
            // Each length has its own, then.
            assert_eq!(rope.kept(&spans(&[(3000, 3001)]), &device, None).is_none(), dynamic);
            // Where the device binds less, ...
            assert!(rope.kept(&spans(&[(0, 1)]), &device, Some(4 * 16 * 8192 - 1)).is_none());
            // ... and beyond what is worth keeping.
            assert!(rope.kept(&spans(&[(0, 1 << 21)]), &device, None).is_none());
        }
        // Sequences of two sets of angles.
        let by_length = json!({"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 1500,
            "short_factor": vec![1.5; 8], "long_factor": vec![2.5; 8]});
        assert!(rope(by_length).kept(&spans(&[(0, 5), (1600, 1601)]), &device, None).is_none());
    }
}
