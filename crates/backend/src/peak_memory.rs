//! The peak memory of this process on the host; a device has its own.

/// The largest resident size of this process so far, in bytes; `None` where the system does not say.
///
/// On Linux from `/proc`: what `getrusage` says there starts at the peak of the process that started this one.
pub fn peak_host_bytes() -> Option<u64> {
    #[cfg(target_os = "linux")]
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        return high_water(&status);
    }
    resource_usage()
}

/// From the text of `/proc/self/status`: its line `VmHWM:    12345 kB`.
#[cfg(any(target_os = "linux", test))]
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(unix)]
fn resource_usage() -> Option<u64> {
    // SAFETY: rusage is plain numbers, for which all zeros is a value, and getrusage only writes to it.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        if libc::getrusage(libc::RUSAGE_SELF, &mut usage) != 0 {
            return None;
        }
        usage
    };
    // macOS counts bytes, the other systems kilobytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).ok().map(|max| max * unit)
}

#[cfg(not(unix))]
fn resource_usage() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_water_reads_its_line_and_nothing_else() {
        let status = "Name:\tglass\nVmPeak:\t  999 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(high_water(status), Some(12345 * 1024));
        for odd in ["", "VmHWM:", "VmHWM: x kB", "VmHWM: 5 pages"] {
            assert_eq!(high_water(odd), None, "{odd}");
        }
    }
}
