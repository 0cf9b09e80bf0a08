//! Rates side by side: to those of the row that is the base.

use crate::Record;

/// Fills in the ratios of all records, each to the base's record for the same prompt and depth.
///
/// The base is the first record that counts and that has all of these words as its device, dtype or kernels. Whether there
/// is one.
pub fn fill_ratios(records: &mut [Record], words: &[String]) -> bool {
    let has = |record: &Record, word| [&record.device, &record.dtype, &record.kernels].contains(&word);
    let fits = |record: &&Record| record.error.is_none() && words.iter().all(|word| has(record, word));
    let Some(base) = records.iter().find(fits).map(Record::name) else {
        return false;
    };
    let of_base = records.iter().filter(|record| record.name() == base);
    let bases: Vec<Record> = of_base.cloned().collect();
    for record in records {
        let same = |base: &&Record| (base.prompt, base.depth) == (record.prompt, record.depth);
        if let Some(base) = bases.iter().find(same) {
            record.compare(base);
        }
    }
    true
}
