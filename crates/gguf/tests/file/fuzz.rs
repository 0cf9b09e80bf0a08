//! Headers by the hundred thousand, damaged at random.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{Key, NAME, Raw, Tensor, allocations, every_type, one_line, open};
use glass_gguf::Gguf;

const ROUNDS: usize = 300_000;

/// Bytes of memory for each of the file, and for any file: maps begin with some room.
const PER_BYTE: usize = 16;
const AT_LEAST: usize = 16 << 10;

/// Whatever happens to a file, opening it answers in one line, takes no more memory than its size warrants, and every tensor
/// that it lets through lies inside the file and on no other.
#[test]
fn damage_never_panics() {
    let whole = every_type();
    let (header, whole) = (whole.header().len(), whole.bytes());
    let mut random = ChaCha12Rng::seed_from_u64(1);
    let mut below = |n: usize| (random.next_u64() % n as u64) as usize;
    let (mut opened, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let mut file = whole.clone();
        for _ in 0..1 + below(3) {
            damage(&mut file, header, &mut below);
        }
        let length = file.len();
        let (result, memory) = allocations::most(|| Gguf::from_bytes(NAME.as_ref(), file));
        assert!(memory <= AT_LEAST + PER_BYTE * length, "round {round}: {memory} bytes for {length}");
        match result {
            Ok(gguf) => {
                opened += 1;
                look(&gguf, round);
            }
            Err(error) => {
                refused += 1;
                assert!(one_line(error).starts_with(NAME), "round {round}");
            }
        }
    }
    assert!(opened > ROUNDS / 50 && refused > ROUNDS / 2, "{opened} opened, {refused} refused");
}

fn damage(file: &mut Vec<u8>, header: usize, below: &mut dyn FnMut(usize) -> usize) {
    if file.is_empty() {
        return;
    }
    let at = below(header.min(file.len()));
    let extreme =
        [0, 1, 2, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 1 << 40, 1 << 63, u64::MAX, u64::MAX - 31, file.len() as u64];
    let number = extreme[below(extreme.len())].to_le_bytes();
    match below(8) {
        0 => file.truncate(at + 1),
        1 => file.insert(at, below(256) as u8),
        2 => drop(file.remove(at)),
        3 => file[at] = below(14) as u8,
        4 | 5 => file.iter_mut().skip(at).zip(number).for_each(|(byte, new)| *byte = new),
        6 => file.iter_mut().skip(at).zip(number).take(4).for_each(|(byte, new)| *byte = new),
        _ => file[at] ^= 1 << below(8),
    }
}

fn look(gguf: &Gguf, round: usize) {
    for (key, value) in gguf.metadata().iter() {
        assert!(!value.to_string().contains('\n'), "round {round}, {key}");
        // Of a key that has it, the type that is asked for; of all others an error.
        let _ = gguf.metadata().u64(key).map_err(one_line);
        if let Ok(Some(strings)) = gguf.metadata().strings(key) {
            assert_eq!(strings.iter().count(), strings.len());
        }
    }
    let mut end = 0;
    for tensor in gguf.tensors() {
        assert_eq!(tensor.bytes.len(), tensor.ty.bytes(tensor.shape).unwrap(), "round {round}, {}", tensor.name);
        let (_, range) = gguf.place(tensor.name).unwrap();
        assert!(range.start >= end, "round {round}, {}", tensor.name);
        end = range.end;
    }
}

/// Headers that say as much in as few bytes as they can.
#[test]
fn dense_headers_take_memory_by_their_size() {
    const MANY: u32 = 50_000;
    let empty = [0_u32.to_le_bytes().as_slice(), &[0; 8]].concat();
    let arrays =
        [9_u32.to_le_bytes().as_slice(), &u64::from(MANY).to_le_bytes(), &empty.repeat(MANY as usize)].concat();
    let name = |n: u32| format!("{n:x}");
    let keys = (0..MANY).map(|n| Key::new(&name(n), 0, [0])).collect();
    let tensors = (0..MANY).map(|n| Tensor::new(&name(n), &[], 0, u64::from(n) * 32)).collect();
    for raw in [
        Raw { keys: vec![Key::new("arrays", 9, arrays)], ..Raw::default() },
        Raw { keys, ..Raw::default() },
        Raw { tensors, data: MANY as usize * 32, ..Raw::default() },
    ] {
        let (header, file) = (raw.header().len(), raw.bytes());
        let (gguf, memory) = allocations::most(|| open(file).unwrap());
        assert!(gguf.warnings().is_empty() && memory <= PER_BYTE * header, "{memory} bytes for {header}");
    }
}
