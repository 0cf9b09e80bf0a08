//! What `glass --version` says.

use std::sync::LazyLock;

/// The version of Burn that `Cargo.toml` pins. A test compares it.
const BURN: &str = "0.22.1";

/// The version, that of Burn, and the devices that are built in.
pub fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        let optional = [("cuda", cfg!(feature = "cuda")), ("cpu", cfg!(feature = "cpu"))];
        let optional = optional.iter().filter(|(_, built_in)| *built_in).map(|(name, _)| *name);
        let devices: Vec<&str> = ["flex", "ndarray", "wgpu"].into_iter().chain(optional).collect();
        format!("{}\nburn {BURN}\ndevices {}", env!("CARGO_PKG_VERSION"), devices.join(", "))
    });
    &LONG
}
