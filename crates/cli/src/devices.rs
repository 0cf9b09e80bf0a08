//! `glass devices`

use std::io::{self, Write};

use glass_backend::{Device, adapters};

use crate::error::CliError;

pub fn run() -> Result<(), CliError> {
    let mut lines = vec!["device      what".to_owned()];
    for name in ["flex", "ndarray"] {
        if let Ok(device) = Device::open(name) {
            let dtypes: Vec<_> = device.dtypes().iter().map(ToString::to_string).collect();
            lines.push(format!(
                "{name:<11} {} ({})",
                device.description(),
                dtypes.join(", ")
            ));
        }
    }
    for (index, adapter) in adapters().iter().enumerate() {
        lines.push(format!(
            "wgpu:{index:<6} {}: API {:?}, type {}, driver {}, f16 {}, largest buffer {}, largest binding {}",
            adapter.name,
            adapter.api,
            adapter.kind,
            adapter.driver,
            if adapter.f16 { "yes" } else { "no" },
            mebibytes(adapter.max_buffer),
            mebibytes(adapter.max_binding),
        ));
    }
    if adapters().is_empty() {
        lines.push("wgpu        no Vulkan, Metal or DX12 adapter on this machine".into());
    }
    for (name, feature) in [
        ("cuda", cfg!(feature = "cuda")),
        ("cpu", cfg!(feature = "cpu")),
    ] {
        lines.push(match feature {
            true => format!("{name:<11} built in"),
            false => {
                format!("{name:<11} not in this build: cargo build --release --features {name}")
            }
        });
    }
    lines.push(match cfg!(feature = "vulkan") {
        true => "vulkan      kernels for Vulkan are compiled to SPIR-V".into(),
        false => "vulkan      kernels for Vulkan are written in WGSL; to SPIR-V: cargo build --release --features vulkan".into(),
    });
    if let Ok(auto) = Device::open("auto") {
        lines.push(format!("auto        is {} here", auto.name()));
    }
    let mut out = io::stdout().lock();
    lines
        .iter()
        .try_for_each(|line| writeln!(out, "{line}"))
        .map_err(CliError::stdout)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
