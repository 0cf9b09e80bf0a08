//! `glass devices`: what there is to compute on.

use glass_backend::{Device, adapters};

use crate::{error::CliError, say::print_line};

pub fn run() -> Result<(), CliError> {
    let mut lines = vec!["device      what".to_owned()];
    for name in ["flex", "ndarray"] {
        if let Ok(device) = Device::open(name) {
            let dtypes: Vec<_> = device.dtypes().iter().map(ToString::to_string).collect();
            lines.push(format!("{name:<11} {} ({})", device.description(), dtypes.join(", ")));
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
    for (name, feature) in [("cuda", cfg!(feature = "cuda")), ("cpu", cfg!(feature = "cpu"))] {
        lines.push(if feature {
            format!("{name:<11} built in")
        } else {
            format!("{name:<11} not in this build: cargo build --release --features {name}")
        });
    }
    let vulkan = if cfg!(feature = "vulkan") {
        "vulkan      kernels for Vulkan are compiled to SPIR-V"
    } else {
        "vulkan      kernels for Vulkan are written in WGSL; to SPIR-V: cargo build --release --features vulkan"
    };
    lines.push(vulkan.to_owned());
    if let Ok(auto) = Device::open("auto") {
        lines.push(format!("auto        is {} here", auto.name()));
    }
    print_line(lines.join("\n"))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
