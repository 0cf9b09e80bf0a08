//! The most memory this process has had.

/// Bytes; `None` where the system does not say.
#[cfg(unix)]
pub fn peak_host_bytes() -> Option<u64> {
    // SAFETY: rusage is plain numbers, for which all zeros is a value, and getrusage fills in what it is given.
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
pub fn peak_host_bytes() -> Option<u64> {
    None
}
