//! Reductions over the units of a cube.

use cubecl::prelude::*;

/// Sums over the units of each group of a cube, from and to `shared` `[values][units]`: the group's first unit has the sum.
///
/// Every unit of the cube must call it.
#[cube]
pub fn sum(shared: &mut Shared<[f32]>, #[comptime] units: usize, #[comptime] group: usize, #[comptime] values: usize) {
    let unit = UNIT_POS_X as usize;
    let lane = unit % group;
    sync_cube();
    #[unroll]
    for step in 0..comptime!(steps(group)) {
        let (keep, add) = comptime!(halves(group, step));
        if lane < add {
            #[unroll]
            for value in 0..values {
                let other = shared[value * units + unit + keep];
                shared[value * units + unit] += other;
            }
        }
        sync_cube();
    }
}

/// The maximum over all units of the cube.
///
/// Every unit of the cube must call it.
#[cube]
pub fn max(shared: &mut Shared<[f32]>, #[comptime] units: usize) {
    let unit = UNIT_POS_X as usize;
    sync_cube();
    #[unroll]
    for step in 0..comptime!(steps(units)) {
        let (keep, add) = comptime!(halves(units, step));
        if unit < add {
            let other = shared[unit + keep];
            shared[unit] = f32::max(shared[unit], other);
        }
        sync_cube();
    }
}

/// The highest of all units' ranks, and the lowest id that has it.
///
/// Every unit of the cube must call it.
#[cube]
pub fn first_highest(ranks: &mut Shared<[u32]>, ids: &mut Shared<[u32]>, #[comptime] units: usize) {
    let unit = UNIT_POS_X as usize;
    sync_cube();
    #[unroll]
    for step in 0..comptime!(steps(units)) {
        let (keep, add) = comptime!(halves(units, step));
        if unit < add {
            let (rank, id) = (ranks[unit + keep], ids[unit + keep]);
            if rank > ranks[unit] || (rank == ranks[unit] && id < ids[unit]) {
                ranks[unit] = rank;
                ids[unit] = id;
            }
        }
        sync_cube();
    }
}

/// How often `n` numbers can be halved until one is left.
fn steps(n: usize) -> usize {
    n.next_power_of_two().trailing_zeros() as usize
}

/// How many numbers are kept in this step, and how many of them take in another one.
fn halves(n: usize, step: usize) -> (usize, usize) {
    let left = n.div_ceil(1 << step);
    (left.div_ceil(2), left / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_leaves_one() {
        for n in 1..300 {
            let mut left = n;
            for step in 0..steps(n) {
                let (keep, add) = halves(n, step);
                assert_eq!(keep + add, left);
                left = keep;
            }
            assert_eq!(left, 1);
        }
    }
}
