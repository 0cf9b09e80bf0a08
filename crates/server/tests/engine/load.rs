//! Many clients for a while: no error, no leak, and nobody waits much longer than the others.

use std::{
    fs, iter,
    num::NonZeroUsize,
    thread,
    time::{Duration, Instant},
};

use glass_server::engine::{Event, Request, ServiceOptions};
use glass_testing::Random;

use crate::models::{Kind, PIECE, Text, alone, model, prompt, request, service, texts};

const CLIENTS: usize = 64;

/// How often each time was seen, in units of 20 us, the last of which stands for all longer ones: what was measured does not
/// grow with the time.
type Histogram = Vec<u64>;

const UNIT: Duration = Duration::from_micros(20);

const UNITS: usize = 50_000;

/// The time that this part of all is not longer than.
fn quantile(times: &Histogram, part: f64) -> Duration {
    let wanted = (times.iter().sum::<u64>() as f64 * part) as u64;
    let mut seen = 0;
    let unit = times.iter().position(|&count| {
        seen += count;
        seen >= wanted
    });
    UNIT * (unit.unwrap_or(UNITS) + 1) as u32
}

/// Bytes of this process in memory; `None` where the system does not tell.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = status.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// Median and 95th percentile of the time between two tokens of a text, and the size of the process from time to time. On a
/// slow machine it takes longer, until every client has been served, and one has left.
fn load(time: Duration) -> ([Duration; 2], Vec<usize>) {
    let options = ServiceOptions {
        parallel: NonZeroUsize::new(32).expect("not 0"),
        step_tokens: NonZeroUsize::new(PIECE).expect("not 0"),
        cache_memory: 4 << 20,
        ..ServiceOptions::default()
    };
    let service = service(model(Kind::Windows, "f32"), options);
    let mut random = Random::new(1);
    let system = prompt(&mut random, 200);
    let requests: Vec<Request> = (0..40)
        .map(|number| {
            let len = 1 + random.below([20, 100, 400][number % 3]);
            let own = prompt(&mut random, len);
            let ids = if number % 2 == 0 { own } else { [system.clone(), own].concat() };
            request(ids, 10 + random.below(60), number as u64)
        })
        .collect();
    let expected: Vec<Vec<Text>> = requests.iter().map(|request| alone(service.llama(), request, &options)).collect();
    let start = Instant::now();
    let goes_on = || {
        let stats = service.stats();
        start.elapsed() < time || stats.finished <= CLIENTS as u64 || stats.abandoned == 0
    };
    let mut sizes: Vec<usize> = Vec::new();
    let gaps: Vec<Histogram> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (service, requests, expected, goes_on) = (&service, &requests, &expected, &goes_on);
                scope.spawn(move || {
                    let mut random = Random::new(client as u64);
                    let mut gaps = vec![0; UNITS];
                    while goes_on() {
                        let number = random.below(requests.len());
                        let mut ticket = service.submit(requests[number].clone()).expect("the queue is long");
                        if random.below(10) == 0 {
                            iter::from_fn(|| ticket.wait_next()).take(random.below(5)).for_each(drop);
                            continue;
                        }
                        if client % 8 > 0 {
                            let (found, _) = texts(&mut ticket, 1);
                            assert_eq!(found, expected[number]);
                            continue;
                        }
                        let mut last: Option<Instant> = None;
                        while let Some(event) = ticket.wait_next() {
                            if let Event::Token { .. } = event {
                                let now = Instant::now();
                                if let Some(last) = last.replace(now) {
                                    let units = (now - last).as_micros() / UNIT.as_micros();
                                    gaps[(units as usize).min(UNITS - 1)] += 1;
                                }
                            }
                        }
                    }
                    gaps
                })
            })
            .collect();
        while goes_on() {
            thread::sleep(time / 20);
            sizes.extend(resident());
        }
        clients.into_iter().map(|client| client.join().expect("no client fails")).collect()
    });
    let all: Histogram = (0..UNITS).map(|unit| gaps.iter().map(|times| times[unit]).sum()).collect();
    let [median, p95] = [0.5, 0.95].map(|part| quantile(&all, part));
    let stats = service.stats();
    eprintln!("{} s: {stats:?}", time.as_secs());
    eprintln!("between tokens: median {median:?}, p95 {p95:?}; resident: {sizes:?}");
    assert_eq!((stats.failed, stats.refused), (0, 0));
    ([median, p95], sizes)
}

#[test]
fn sixty_four_clients() {
    load(Duration::from_secs(8));
}

#[test]
#[ignore = "takes ten minutes, alone in its process"]
fn sixty_four_clients_for_ten_minutes() {
    let ([median, p95], sizes) = load(Duration::from_secs(600));
    assert!(p95 < 3 * median, "{median:?} {p95:?}");
    // After a fifth of the time all buffers have been in use.
    if let (Some(first), Some(last)) = (sizes.get(4), sizes.last()) {
        assert!(*last < first + first / 10, "{sizes:?}");
    }
}
