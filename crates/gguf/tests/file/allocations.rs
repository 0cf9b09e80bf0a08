//! How much memory a piece of code takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread holds, as far as it took them itself, and the most that it held.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: isize) {
    HELD.set({
        let (held, most) = HELD.get();
        (held + bytes, most.max(held + bytes))
    });
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

/// The most memory that `act` held at a time.
pub fn most<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let (before, _) = HELD.get();
    HELD.set((before, before));
    let result = act();
    (result, (HELD.get().1 - before) as usize)
}

#[test]
fn memory_is_counted() {
    let (_, bytes) = most(|| drop(Vec::<u8>::with_capacity(1 << 20)));
    assert!((1 << 20..1 << 21).contains(&bytes), "{bytes}");
    let (_, bytes) = most(|| drop(vec![0_u8; 1 << 20]));
    assert!((1 << 20..1 << 21).contains(&bytes), "{bytes}");
}
