//! A token drawn from each row of logits where they lie, so that they need not be read back: temperature, top-k, top-p and min-p
//! as the host's sampler has them.
//!
//! One cube has a row, and passes over it some forty times: a border is searched for, three bits at a time.

use burn::tensor::{DType, Tensor};
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::{
    AdapterClass,
    argmax::{MAX_VOCAB, RESULT, first_best, rank},
    empty, primitive, reduce, tensor,
};

/// Numbers that say how a row is drawn from: temperature, k, p of top-p, p of min-p, and which part of all probability is to
/// lie at the chosen token and behind it, in (0, 1]: 1 less the uniform number.
const DRAW: usize = 5;

const UNITS: usize = 256;

/// Values that a unit sums up by themselves, before they go to its sum: so sums lose few digits.
const BLOCK: usize = 32;

/// Bits of a border that a pass finds, and the borders that it tries for that.
const BITS: u32 = 3;
const TRIES: usize = (1 << BITS) - 1;

/// Bits of an id: below [`MAX_VOCAB`].
const ID_BITS: u32 = MAX_VOCAB.trailing_zeros();

/// The rank of -inf, the logit of no token that is possible, and that of what is no logit.
const IMPOSSIBLE: u32 = 0x0080_0000;
const HIGHEST: u32 = 0xffff_ffff;

/// `logits` `[n, vocab]` and `draws` `[n, 5]`, both in float32 -> id, logit and log-probability, `[n, 3]`. Where no row has a
/// top-k, or none a top-p, nothing is searched for by it.
pub fn draw(
    class: AdapterClass,
    logits: &Tensor<2>,
    draws: &Tensor<2>,
    has_top_k: bool,
    has_top_p: bool,
) -> Option<Tensor<2>> {
    let [n, vocab] = logits.dims();
    // What software acts as an adapter has its memory where the host has it: reading a row costs less than passing over it.
    if class.software || n * vocab == 0 || vocab > MAX_VOCAB || draws.dims() != [n, DRAW] {
        return None;
    }
    let [logits, draws] = [into_contiguous(primitive(logits)?), into_contiguous(primitive(draws)?)];
    if logits.dtype != DType::F32 || draws.dtype != DType::F32 {
        return None;
    }
    let to = empty(&logits, [n, RESULT]);
    // SAFETY: a cube stays in its row, and cubes beyond the last do nothing.
    unsafe {
        draw_kernel::launch_unchecked(
            &to.client.clone(),
            super::count(n),
            CubeDim::new_1d(UNITS as u32),
            logits.into_buffer_arg(),
            draws.into_buffer_arg(),
            to.clone().into_buffer_arg(),
            n,
            vocab,
            has_top_k,
            has_top_p,
        );
    }
    Some(tensor(to))
}

#[derive(CubeType, Clone, Copy)]
struct Row {
    start: usize,
    vocab: usize,
    /// The highest logit.
    best: f32,
    temperature: f32,
}

/// Which tokens of a row are left.
#[derive(CubeType, Clone, Copy)]
struct Left {
    /// From this rank on, and of this rank from this id on ...
    least: u32,
    from: u32,
    /// ... up to this rank ...
    most: u32,
    /// ... and from this weight on.
    weight: f32,
}

#[cube(launch_unchecked)]
fn draw_kernel(
    logits: &[f32],
    draws: &[f32],
    to: &mut [f32],
    n: usize,
    vocab: usize,
    #[comptime] has_top_k: bool,
    #[comptime] has_top_p: bool,
) {
    if CUBE_POS < n {
        let unit = UNIT_POS_X as usize;
        let start = CUBE_POS * vocab;
        let highest = first_best(logits, start, 0usize, vocab, UNITS, false);
        let best = logits[start + highest];

        let mut shared = Shared::<[f32]>::new_slice(comptime!(TRIES * UNITS));
        let draw = CUBE_POS * DRAW;
        let row = Row { start, vocab, best, temperature: draws[draw] };
        let all = Left { least: IMPOSSIBLE + 1, from: 0u32, most: HIGHEST, weight: 0.0f32 };
        let mut least = all.least;
        let mut from = 0u32;
        // Rows of a step may have other rules.
        if comptime!(has_top_k) {
            let k = draws[draw + 1];
            let kth = border(logits, &row, &all, &mut shared, k, false, true);
            least = u32::max(least, select(k > 0.0f32, kth, least));
        }
        if comptime!(has_top_p) {
            let p = draws[draw + 2];
            let wanted = p * sum(logits, &row, &Left { least, from, most: HIGHEST, weight: 0.0f32 }, &mut shared);
            let left = Left { least, from, most: HIGHEST, weight: 0.0f32 };
            let last = u32::max(least, border(logits, &row, &left, &mut shared, wanted, false, false));
            let above = Left { least: last + 1, from, most: HIGHEST, weight: 0.0f32 };
            let missing = wanted - sum(logits, &row, &above, &mut shared);
            // Of those that are as probable as the last, the ones with the highest ids.
            let equal = Left { least: last, from, most: last, weight: 0.0f32 };
            let number = f32::max(f32::ceil(missing / weight_of_rank(last, &row)), 1.0f32);
            let first = border(logits, &row, &equal, &mut shared, number, true, true);
            least = select(p < 1.0f32, last, least);
            from = select(p < 1.0f32, first, from);
        }
        let left = Left { least, from, most: HIGHEST, weight: draws[draw + 3] };
        // Not quite all, because sums may be rounded otherwise than this one.
        let part = f32::min(draws[draw + 4], 0.999_999_5f32);
        let wanted = part * sum(logits, &row, &left, &mut shared);
        let drawn = border(logits, &row, &left, &mut shared, wanted, true, false);
        // Of the model's own distribution.
        let own = Row { start, vocab, best, temperature: f32::new(1.0) };
        let whole = sum(logits, &own, &all, &mut shared);
        if unit == 0 {
            // A row that has a number which is no logit, or not a single token, says so.
            let is_drawn = rank(best) > IMPOSSIBLE && rank(best) < HIGHEST;
            let id = select(is_drawn, drawn, highest as u32);
            let logit = logits[start + id as usize];
            to[CUBE_POS * RESULT] = f32::cast_from(id);
            to[CUBE_POS * RESULT + 1] = logit;
            to[CUBE_POS * RESULT + 2] = logit - best - f32::ln(whole);
        }
    }
}

/// The highest rank or id from which on the tokens that are left weigh `wanted`, or are as many; 0 if all are less.
#[cube]
fn border(
    logits: &[f32],
    row: &Row,
    left: &Left,
    shared: &mut Shared<[f32]>,
    wanted: f32,
    #[comptime] by_id: bool,
    #[comptime] counts: bool,
) -> u32 {
    let unit = UNIT_POS_X as usize;
    let steps = comptime!(if by_id { ID_BITS.div_ceil(BITS) } else { 32u32.div_ceil(BITS) });
    let mut border = 0u32;
    for step in 0..steps {
        let shift = (steps - 1 - step) * BITS;
        let mut tried = Array::<u32>::new(TRIES);
        let mut sums = Array::<f32>::new(TRIES);
        #[unroll]
        for i in 0..TRIES {
            let digit = comptime!(i as u32 + 1);
            // The first digit has fewer bits.
            tried[i] = select(digit <= HIGHEST >> shift, border + (digit << shift), HIGHEST);
            sums[i] = 0.0f32;
        }
        let mut at = unit;
        while at < row.vocab {
            let mut block = Array::<f32>::new(TRIES);
            #[unroll]
            for i in 0..TRIES {
                block[i] = 0.0f32;
            }
            let end = usize::min(at + comptime!(BLOCK * UNITS), row.vocab);
            while at < end {
                let (rank, weight) = token(logits, at, row, left);
                let key = if comptime!(by_id) { at as u32 } else { rank };
                let value =
                    if comptime!(counts) { select(weight >= 0.0f32, 1.0f32, 0.0f32) } else { f32::max(weight, 0.0f32) };
                #[unroll]
                for i in 0..TRIES {
                    block[i] += select(key >= tried[i], value, 0.0f32);
                }
                at += UNITS;
            }
            #[unroll]
            for i in 0..TRIES {
                sums[i] += block[i];
            }
        }
        #[unroll]
        for i in 0..TRIES {
            shared[i * UNITS + unit] = sums[i];
        }
        reduce::sum(shared, UNITS, UNITS, TRIES);
        let mut digit = 0u32;
        #[unroll]
        for i in 0..TRIES {
            digit = select(shared[i * UNITS] >= wanted, comptime!(i as u32 + 1), digit);
        }
        border += digit << shift;
        // The next step overwrites what is read here.
        sync_cube();
    }
    border
}

/// What the tokens that are left weigh together.
#[cube]
fn sum(logits: &[f32], row: &Row, left: &Left, shared: &mut Shared<[f32]>) -> f32 {
    let unit = UNIT_POS_X as usize;
    let mut sum = 0.0f32;
    let mut at = unit;
    while at < row.vocab {
        let mut block = 0.0f32;
        let end = usize::min(at + comptime!(BLOCK * UNITS), row.vocab);
        while at < end {
            let (_, weight) = token(logits, at, row, left);
            block += f32::max(weight, 0.0f32);
            at += UNITS;
        }
        sum += block;
    }
    shared[unit] = sum;
    reduce::sum(shared, UNITS, UNITS, 1usize);
    let sum = shared[0];
    sync_cube();
    sum
}

/// The rank of a token's logit by the temperature, and what it weighs beside the most probable one; below 0 if it is not left.
#[cube]
fn token(logits: &[f32], id: usize, row: &Row, left: &Left) -> (u32, f32) {
    let logit = logits[row.start + id];
    let is_possible = rank(logit) > IMPOSSIBLE;
    let behind = (select(is_possible, logit, row.best) - row.best) / row.temperature;
    // As the host's: divided only where that does something, and what is subtracted first may lose digits.
    let rank = rank(select(row.temperature == 1.0f32, logit, behind));
    let weight = f32::exp(behind);
    let is_within = rank >= left.least && rank <= left.most && (rank > left.least || id as u32 >= left.from);
    (rank, select(is_possible && is_within && weight >= left.weight, weight, -1.0f32))
}

/// The weight of tokens of this rank.
#[cube]
fn weight_of_rank(rank: u32, row: &Row) -> f32 {
    let bits = select(rank >= 0x8000_0000, rank - 0x8000_0000, 0x8000_0000 + (0x8000_0000 - rank));
    let value = f32::reinterpret(bits);
    f32::exp(select(row.temperature == 1.0f32, value - row.best, value))
}
