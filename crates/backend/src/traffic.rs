//! What a graphics adapter is asked for, counted.
//!
//! wgpu tells the `log` facade of every call, at its finest level. Whoever counts is the process's logger and listens; nobody
//! else needs one. While nobody counts, a call costs wgpu one look at the level, as it always does. While somebody does, every
//! call is written out to be read, so nothing is timed meanwhile.

use std::{
    borrow::Cow,
    ops::{Add, Sub},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use log::{LevelFilter, Log, Metadata, Record};

use crate::Device;

/// Calls that a device was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Kernels.
    pub launches: u64,
    /// Lists of commands that were handed to the driver.
    pub submissions: u64,
    /// Writes from the host: of data, and of the numbers that a kernel is launched with, unless the device has them already.
    pub uploads: u64,
    /// Bytes that came to the host.
    pub bytes_read: u64,
    /// Times that the host waited for the device to be done.
    pub waits: u64,
}

impl Traffic {
    fn zip(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            launches: with(self.launches, other.launches),
            submissions: with(self.submissions, other.submissions),
            uploads: with(self.uploads, other.uploads),
            bytes_read: with(self.bytes_read, other.bytes_read),
            waits: with(self.waits, other.waits),
        }
    }
}

impl Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }
}

impl Sub for Traffic {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.zip(other, u64::saturating_sub)
    }
}

/// Counts what all graphics adapters of this process are asked for, for as long as it lives.
pub struct TrafficCounter {
    taken: Traffic,
    before: LevelFilter,
    _alone: MutexGuard<'static, ()>,
}

impl TrafficCounter {
    /// Starts to count, when whoever else counts is done. `None` if `device` is none whose calls are told, or if the process
    /// has another logger.
    pub fn start(device: &Device) -> Option<Self> {
        static LISTENS: OnceLock<bool> = OnceLock::new();
        static ALONE: Mutex<()> = Mutex::new(());
        let is_wgpu = device.name().split(':').next() == Some("wgpu") && cfg!(not(target_family = "wasm"));
        if !is_wgpu || !*LISTENS.get_or_init(|| log::set_logger(&SEEN).is_ok()) {
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let before = log::max_level();
        log::set_max_level(LevelFilter::Trace);
        Some(Self { taken: SEEN.read(), before, _alone: alone })
    }

    /// What was asked for since the last time, or since the start. Commands that the device has not been handed yet are not in
    /// it: whoever wants a whole pass waits for its result.
    pub fn take(&mut self) -> Traffic {
        let seen = SEEN.read();
        let since = seen - self.taken;
        self.taken = seen;
        since
    }
}

impl Drop for TrafficCounter {
    fn drop(&mut self) {
        log::set_max_level(self.before);
    }
}

static SEEN: Seen = Seen {
    launches: AtomicU64::new(0),
    submissions: AtomicU64::new(0),
    uploads: AtomicU64::new(0),
    bytes_read: AtomicU64::new(0),
    waits: AtomicU64::new(0),
};

/// Everything that was told while somebody counted.
struct Seen {
    launches: AtomicU64,
    submissions: AtomicU64,
    uploads: AtomicU64,
    bytes_read: AtomicU64,
    waits: AtomicU64,
}

impl Seen {
    fn read(&self) -> Traffic {
        Traffic {
            launches: self.launches.load(Relaxed),
            submissions: self.submissions.load(Relaxed),
            uploads: self.uploads.load(Relaxed),
            bytes_read: self.bytes_read.load(Relaxed),
            waits: self.waits.load(Relaxed),
        }
    }

    fn add(&self, call: Call) {
        match call {
            Call::Launch => self.launches.fetch_add(1, Relaxed),
            Call::Submission => self.submissions.fetch_add(1, Relaxed),
            Call::Upload => self.uploads.fetch_add(1, Relaxed),
            Call::Read(bytes) => self.bytes_read.fetch_add(bytes, Relaxed),
            Call::Wait => self.waits.fetch_add(1, Relaxed),
        };
    }
}

impl Log for Seen {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wgpu_core")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().as_str().map_or_else(|| record.args().to_string().into(), Cow::Borrowed);
            Call::of(&text).into_iter().for_each(|call| self.add(call));
        }
    }

    fn flush(&self) {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Launch,
    Submission,
    Upload,
    Read(u64),
    Wait,
}

impl Call {
    /// What wgpu 30 says of a call.
    fn of(text: &str) -> Option<Self> {
        // CubeCL copies from buffer to buffer only to bring bytes to the host: what stays on the device, kernels move.
        if let Some(copy) = text.strip_prefix("CommandEncoder::copy_buffer_to_buffer") {
            let size = copy.rsplit_once("Some(")?.1.strip_suffix(")bytes")?;
            return size.parse().ok().map(Self::Read);
        }
        match text {
            "Queue::submit" => Some(Self::Submission),
            "Queue::write_buffer" | "Queue::create_staging_buffer" => Some(Self::Upload),
            "Queue::on_submitted_work_done" => Some(Self::Wait),
            // CubeCL polls besides: a thread of its own while the host waits, as often as it likes, and the server for what it
            // handed over 512 launches ago.
            _ if text.starts_with("Buffer::map_async") => Some(Self::Wait),
            _ if text.starts_with("ComputePass::dispatch") => Some(Self::Launch),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_a_driver_between_has_no_traffic() {
        assert!(TrafficCounter::start(&Device::open("flex").unwrap()).is_none());
    }

    #[test]
    fn what_is_said_otherwise_is_no_call() {
        let copy = "CommandEncoder::copy_buffer_to_buffer Id(3,1) -> Id(9,2) Some(12)bytes";
        assert_eq!(Call::of(copy), Some(Call::Read(12)));
        assert_eq!(Call::of("ComputePass::dispatch [1, 2, 3]"), Some(Call::Launch));
        for other in [
            "Queue::submit returned submit index 7",
            "Queue::on_submitted_work_done Id(0,1)",
            "Device::poll Wait { submission_index: None, timeout: None }",
            "Device::poll Wait { submission_index: Some(7), timeout: None }",
            "Device::poll Poll",
            "Pass::set_bind_group 0 Id(1,1)",
        ] {
            assert_eq!(Call::of(other), None, "{other}");
        }
    }
}
