//! The memory of one text's keys and values.

use glass_generate::{Error, Lane, Llama, PrefillOptions};

use super::ServiceOptions;

/// Contexts that are shortened are so many tokens, or a multiple of them.
const STEP: usize = 256;

/// Bytes of the keys and values of a text of so many tokens, under these options.
///
/// # Errors
/// A cache policy that does not fit the model; more tokens than the device can hold.
pub fn text_bytes(llama: &Llama, options: &ServiceOptions, tokens: usize) -> Result<u64, Error> {
    let prefill = PrefillOptions { cache: options.cache, prefill_chunk: options.step_tokens };
    let mut lane = Lane::new(llama, prefill)?;
    lane.reserve(tokens, 0)?;
    Ok(lane.bytes_of(tokens))
}

/// The most tokens up to `context` whose keys and values fit into `room` bytes, in steps of 256; 0: not even one step.
///
/// # Errors
/// As [`text_bytes`].
pub fn longest_text(llama: &Llama, options: &ServiceOptions, context: usize, room: u64) -> Result<usize, Error> {
    longest(context, |tokens| Ok(text_bytes(llama, options, tokens)? <= room))
}

fn longest(all: usize, fits: impl Fn(usize) -> Result<bool, Error>) -> Result<usize, Error> {
    let (mut least, mut most) = (0, all / STEP);
    while least < most {
        let middle = (least + most).div_ceil(2);
        if fits(middle * STEP)? {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    Ok(least * STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_that_fits_is_found() {
        for room in [0, 255, 256, 257, 1000, 100_000, 131_072, 200_000] {
            let found = longest(131_072, |tokens| Ok(tokens <= room)).unwrap();
            assert_eq!(found, room.min(131_072) / STEP * STEP, "{room}");
        }
        assert_eq!(longest(100, |_| Ok(true)).unwrap(), 0);
    }
}
