//! Work in small pieces, shared by threads: one that is held up leaves its pieces to the others.

use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::team::with_helpers;

/// Threads that have a stretch of their own.
const MAX_STRETCHES: usize = 64;

/// The next piece of a stretch, alone in its cache line.
#[derive(Default)]
#[repr(align(64))]
struct Next(AtomicUsize);

/// Calls `work` with each of `pieces`, on `threads` threads or fewer.
///
/// Every thread begins with a stretch of its own, so that it reads memory as one stream. Whoever is done takes pieces of
/// those that are not. Nothing is allocated.
pub fn share(threads: usize, pieces: usize, work: impl Fn(usize) + Sync) {
    let stretches = threads.min(rayon::current_num_threads()).min(pieces).min(MAX_STRETCHES);
    if stretches <= 1 {
        return (0..pieces).for_each(work);
    }
    let next: [Next; MAX_STRETCHES] = std::array::from_fn(|_| Next::default());
    let start = |stretch: usize| stretch * pieces / stretches;
    let help = |own: usize| {
        for stretch in (own..stretches).chain(0..own) {
            let pieces = start(stretch)..start(stretch + 1);
            loop {
                let piece = pieces.start + next[stretch].0.fetch_add(1, Ordering::Relaxed);
                if piece >= pieces.end {
                    break;
                }
                work(piece);
            }
        }
    };
    // Several callers at once, as in a server, cannot all have the helpers.
    if !with_helpers(stretches, &help) {
        on_each(0..stretches, &help);
    }
}

/// Calls `work` with each of `tasks`, which have what they write, on all threads.
pub fn share_each<T: Send>(tasks: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    let tasks: Vec<Mutex<Option<T>>> = tasks.into_iter().map(|task| Mutex::new(Some(task))).collect();
    share(rayon::current_num_threads(), tasks.len(), |piece| {
        let task = tasks[piece].lock().ok().and_then(|mut task| task.take());
        let Some(task) = task else { unreachable!("each piece comes once, and nothing panics where it is taken") };
        work(task);
    });
}

/// Calls `run` with each number of a range, each on a thread of its own if one is free.
fn on_each(numbers: Range<usize>, run: &(impl Fn(usize) + Sync)) {
    if numbers.len() == 1 {
        return run(numbers.start);
    }
    let middle = numbers.start + numbers.len() / 2;
    rayon::join(|| on_each(numbers.start..middle, run), || on_each(middle..numbers.end, run));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once() {
        for threads in [1, 2, 3, 70] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            for pieces in [0, 1, 2, 5, 64, 1000] {
                let done: Vec<_> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
                pool.as_ref().unwrap().install(|| {
                    share(threads, pieces, |piece| {
                        done[piece].fetch_add(1, Ordering::Relaxed);
                    });
                });
                assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 1), "{threads}, {pieces}");
                let mut written = vec![0; pieces];
                pool.as_ref().unwrap().install(|| share_each(&mut written, |one: &mut i32| *one += 1));
                assert_eq!(written, vec![1; pieces]);
            }
        }
    }
}
