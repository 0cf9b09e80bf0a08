//! Which tensor goes into which file.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use thiserror::Error;

use crate::WEIGHTS;

/// How many bytes of tensors one file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardSize(NonZeroU64);

impl Default for ShardSize {
    /// 5 GB, as in `transformers`.
    fn default() -> Self {
        const FIVE_GB: NonZeroU64 = NonZeroU64::new(5_000_000_000).unwrap();
        Self(FIVE_GB)
    }
}

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a size: give a number and a unit, such as 5GB, 1.5GiB or 500MB (kB, MB, GB, TB count in thousands; \
     KiB, MiB, GiB, TiB in 1024)"
)]
pub struct BadSize(String);

impl FromStr for ShardSize {
    type Err = BadSize;

    /// A decimal number and a unit in any case, with or without a space: `B` or none, `KB` to `TB` as in `transformers`,
    /// `KiB` to `TiB`. At least one byte.
    fn from_str(text: &str) -> Result<Self, BadSize> {
        let bad = || BadSize(text.to_owned());
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = match unit.trim().to_ascii_uppercase().as_str() {
            "" | "B" => 1,
            "KB" => 1000,
            "MB" => 1000_u64.pow(2),
            "GB" => 1000_u64.pow(3),
            "TB" => 1000_u64.pow(4),
            "KIB" => 1 << 10,
            "MIB" => 1 << 20,
            "GIB" => 1 << 30,
            "TIB" => 1 << 40,
            _ => return Err(bad()),
        };
        let bytes = match number.parse::<u64>() {
            Ok(number) => number.checked_mul(unit),
            Err(_) => {
                let bytes = number.parse::<f64>().map_err(|_| bad())? * unit as f64;
                (bytes < u64::MAX as f64).then_some(bytes as u64)
            }
        };
        bytes.and_then(NonZeroU64::new).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ShardSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}B", self.0)
    }
}

impl ShardSize {
    pub fn bytes(self) -> u64 {
        self.0.get()
    }

    /// Deals tensors of so many bytes out to files, in order, as `transformers` does: one that is larger than a file
    /// may be has a file of its own. Always at least one file.
    pub(super) fn deal(self, sizes: impl IntoIterator<Item = u64>) -> Vec<Vec<usize>> {
        let max = self.0.get();
        let mut shards = Vec::new();
        let (mut current, mut filled) = (Vec::new(), 0);
        for (index, size) in sizes.into_iter().enumerate() {
            if size > max {
                shards.push(vec![index]);
                continue;
            }
            if size > max - filled {
                shards.push(std::mem::take(&mut current));
                filled = 0;
            }
            current.push(index);
            filled += size;
        }
        if !current.is_empty() || shards.is_empty() {
            shards.push(current);
        }
        shards
    }
}

/// The name of file `number`, from 1 on, of `count`.
pub(super) fn file_name(number: usize, count: usize) -> String {
    match count {
        1 => WEIGHTS.to_owned(),
        _ => format!("model-{number:05}-of-{count:05}.safetensors"),
    }
}

/// Whether [`file_name`] could have given this name to one of several files.
pub(super) fn is_shard_name(name: &str) -> bool {
    let is_number = |text: &str| text.len() >= 5 && text.bytes().all(|b| b.is_ascii_digit());
    name.strip_prefix("model-")
        .and_then(|name| name.strip_suffix(".safetensors"))
        .and_then(|name| name.split_once("-of-"))
        .is_some_and(|(number, count)| is_number(number) && is_number(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> u64 {
        let size: ShardSize = text.parse().unwrap_or_else(|error| panic!("{error}"));
        size.0.get()
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, bytes) in [
            ("5GB", 5_000_000_000),
            ("5gb", 5_000_000_000),
            ("1.5 MB", 1_500_000),
            ("200KB", 200_000),
            ("2TB", 2_000_000_000_000),
            ("1KiB", 1024),
            ("0.5MiB", 524_288),
            ("3GIB", 3 << 30),
            ("1TiB", 1 << 40),
            ("77", 77),
            ("1B", 1),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
        for bad in [
            "",
            "GB",
            "0",
            "0GB",
            "0.1B",
            "-1GB",
            "5 G B",
            "5G",
            "5PB",
            "1.2.3MB",
            ".",
            "1e3MB",
            "nanMB",
            "infGB",
            "99999999999TB",
            "99999999.5TB",
            "5GBps",
            "5 GB 3",
        ] {
            let refused = bad.parse::<ShardSize>();
            assert_eq!(refused, Err(BadSize(bad.to_owned())));
        }
        assert_eq!(size(&ShardSize(NonZeroU64::MIN).to_string()), 1);
    }

    /// The example in the documentation of `huggingface_hub`, and what it does not say.
    #[test]
    fn tensors_are_dealt_out_in_order() {
        let deal = |max: &str, sizes: &[u64]| {
            let max: ShardSize = max.parse().expect("a size");
            max.deal(sizes.iter().copied())
        };
        let example = deal("10", &[6, 6, 2, 6, 2, 2]);
        assert_eq!(example, [vec![0], vec![1, 2], vec![3, 4, 5]]);
        assert_eq!(deal("10", &[4, 11, 6]), [vec![1], vec![0, 2]]);
        assert_eq!(deal("10", &[10, 10]), [vec![0], vec![1]]);
        assert_eq!(deal("1", &[0, 5, 0]), [vec![1], vec![0, 2]]);
        assert_eq!(deal("1", &[5]), [vec![0]]);
        assert_eq!(deal("1", &[]), [Vec::<usize>::new()]);
    }

    #[test]
    fn names_of_shards() {
        assert_eq!(file_name(1, 1), "model.safetensors");
        assert_eq!(file_name(2, 3), "model-00002-of-00003.safetensors");
        assert!(is_shard_name(&file_name(99_999, 123_456)));
        for other in [
            "model.safetensors",
            "model-1-of-2.safetensors",
            "model-0000a-of-00002.safetensors",
            "x-00001-of-00002.safetensors",
        ] {
            assert!(!is_shard_name(other), "{other}");
        }
    }
}
