//! Threads that stay awake from one operation to the next: a token takes dozens of them, some microseconds each, and waking a
//! thread takes longer than its half of one.

use std::{
    cell::UnsafeCell,
    mem::transmute,
    sync::{
        Arc, Mutex, TryLockError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// How long a helper waits for more before it sleeps: longer than what lies between two products of a token.
const AWAKE: Duration = Duration::from_micros(300);

/// How long the caller waits for the last helper before it sleeps too: a helper that has been preempted may then run here.
const PATIENT: Duration = Duration::from_micros(50);

/// Looks at the door between two looks at the clock.
const LOOKS: usize = 64;

/// All helpers; who has locked them has their door and their work to itself.
static HELPERS: Mutex<Vec<Helper>> = Mutex::new(Vec::new());

/// Seats that are free, times [`SEAT`], and helpers inside.
static DOOR: AtomicU32 = AtomicU32::new(0);

const SEAT: u32 = 1 << 16;

/// Whether work has panicked inside.
static PANICKED: AtomicBool = AtomicBool::new(false);

static WORK: Work = Work(UnsafeCell::new(&|_| {}));

struct Work(UnsafeCell<&'static (dyn Fn(usize) + Sync)>);

// SAFETY: it is written by who has locked the helpers, while nobody is inside and there is no seat, and read from inside.
unsafe impl Sync for Work {}

struct Helper {
    thread: Thread,
    sleeps: Arc<AtomicBool>,
}

/// Calls `work(0)` here, and at the same time `work(1)` and so on, up to `threads` calls, on helpers that come before the
/// former is done. Returns once all have ended; `false` if the helpers are at other work, and nothing was called.
pub fn with_helpers(threads: usize, work: &(dyn Fn(usize) + Sync)) -> bool {
    let mut helpers = match HELPERS.try_lock() {
        Ok(helpers) => helpers,
        Err(TryLockError::Poisoned(helpers)) => helpers.into_inner(),
        Err(TryLockError::WouldBlock) => return false,
    };
    while helpers.len() + 1 < threads {
        match Helper::start() {
            Some(helper) => helpers.push(helper),
            // Where there are no more threads, the others do it.
            None => break,
        }
    }
    let seats = helpers.len().min(threads - 1);
    // SAFETY: `Open` closes the door and waits for everybody inside before the borrow ends.
    let lent = unsafe { transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(work) };
    // SAFETY: the helpers are locked, the door is closed, and nobody is inside.
    unsafe { *WORK.0.get() = lent };
    PANICKED.store(false, Ordering::Relaxed);
    let open = Open::new(seats as u32);
    for helper in &helpers[..seats] {
        if helper.sleeps.swap(false, Ordering::SeqCst) {
            helper.thread.unpark();
        }
    }
    work(0);
    drop(open);
    assert!(!PANICKED.load(Ordering::Relaxed), "a thread has panicked at its share of the work");
    true
}

/// An open door.
struct Open;

impl Open {
    fn new(seats: u32) -> Self {
        DOOR.store(seats * SEAT, Ordering::SeqCst);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut inside = DOOR.fetch_and(SEAT - 1, Ordering::Acquire) % SEAT;
        let since = Instant::now();
        while inside > 0 {
            let seen = look(|| {
                inside = DOOR.load(Ordering::Acquire);
                inside == 0
            });
            if !seen && since.elapsed() > PATIENT {
                thread::sleep(PATIENT);
            }
        }
    }
}

/// Looks some times, then lets others run.
fn look(mut seen: impl FnMut() -> bool) -> bool {
    for _ in 0..LOOKS {
        if seen() {
            return true;
        }
        std::hint::spin_loop();
    }
    thread::yield_now();
    false
}

impl Helper {
    fn start() -> Option<Self> {
        let sleeps = Arc::new(AtomicBool::new(false));
        let own = sleeps.clone();
        let builder = thread::Builder::new().name("glass-helper".to_owned());
        let started = builder.spawn(move || {
            loop {
                wait(&own);
                help();
            }
        });
        Some(Self { thread: started.ok()?.thread().clone(), sleeps })
    }
}

/// Returns when there is a seat.
fn wait(sleeps: &AtomicBool) {
    let is_open = || DOOR.load(Ordering::SeqCst) >= SEAT;
    let mut since = Instant::now();
    while !look(is_open) {
        if since.elapsed() > AWAKE {
            sleeps.store(true, Ordering::SeqCst);
            // Who opens the door now sees that there is somebody to wake.
            while sleeps.load(Ordering::SeqCst) && !is_open() {
                thread::park();
            }
            sleeps.store(false, Ordering::SeqCst);
            since = Instant::now();
        }
    }
}

/// Takes a seat, if there still is one, and works.
fn help() {
    /// Leaves, also where the work panics.
    struct Inside;

    impl Drop for Inside {
        fn drop(&mut self) {
            if thread::panicking() {
                PANICKED.store(true, Ordering::Relaxed);
            }
            DOOR.fetch_sub(1, Ordering::Release);
        }
    }

    let enter = |door: u32| door.checked_sub(SEAT).map(|door| door + 1);
    if let Ok(door) = DOOR.fetch_update(Ordering::Acquire, Ordering::Relaxed, enter) {
        let inside = Inside;
        // SAFETY: it is not written until this thread has left.
        let work = unsafe { *WORK.0.get() };
        let seat = (door / SEAT) as usize;
        // A panic is the caller's.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _inside = inside;
            work(seat);
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Tests of one process take turns: what finds the helpers at work calls nothing.
    static TURNS: Mutex<()> = Mutex::new(());

    /// Until the helpers, which other tests use too, are free.
    fn with_free_helpers(threads: usize, work: &(dyn Fn(usize) + Sync)) {
        while !with_helpers(threads, work) {
            thread::yield_now();
        }
    }

    #[test]
    fn every_call_has_its_own_number_and_ends_before_the_return() {
        let _turn = TURNS.lock();
        for round in 0..2000 {
            let threads = 1 + round % 5;
            let calls: Vec<_> = (0..threads).map(|_| [AtomicUsize::new(0), AtomicUsize::new(0)]).collect();
            with_free_helpers(threads, &|number| {
                let [begun, ended] = &calls[number];
                begun.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
                ended.fetch_add(1, Ordering::Relaxed);
            });
            let count = |which: usize| calls.iter().map(move |call| call[which].load(Ordering::Relaxed));
            assert!(count(0).eq(count(1)), "what has begun has ended");
            assert_eq!(count(0).next(), Some(1));
            assert!(count(0).all(|calls| calls <= 1));
        }
    }

    #[test]
    fn helpers_come_and_are_woken() {
        let _turn = TURNS.lock();
        for pause in [Duration::ZERO, 2 * AWAKE] {
            thread::sleep(pause);
            let come = AtomicUsize::new(0);
            with_free_helpers(2, &|_| {
                come.fetch_add(1, Ordering::Relaxed);
                // The caller stays until the helper has come.
                while come.load(Ordering::Relaxed) < 2 {
                    thread::yield_now();
                }
            });
            assert_eq!(come.into_inner(), 2);
        }
    }

    #[test]
    fn helpers_at_work_are_not_waited_for_and_panics_are_passed_on() {
        let _turn = TURNS.lock();
        with_free_helpers(2, &|_| assert!(!with_helpers(2, &|_| unreachable!("nested")), "they are at work"));
        let panicked = std::panic::catch_unwind(|| {
            let come = AtomicBool::new(false);
            with_free_helpers(2, &|number| {
                if number == 1 {
                    come.store(true, Ordering::Relaxed);
                    panic!("as a kernel does whose lengths contradict each other");
                }
                while !come.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
            });
        });
        assert!(panicked.is_err());
        with_free_helpers(2, &|_| {});
    }
}
