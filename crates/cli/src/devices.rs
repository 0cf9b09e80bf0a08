//! `glass devices`: what there is to compute on.

use glass_backend::{Device, adapters};

use crate::{error::CliError, say::print_line, table, terminal::Stream};

/// Columns of the names.
const NAMES: usize = 11;

pub fn run() -> Result<(), CliError> {
    let mut rows = vec![("device".to_owned(), "what".to_owned())];
    for name in ["flex", "ndarray"] {
        if let Ok(device) = Device::open(name) {
            let dtypes: Vec<_> = device.dtypes().iter().map(ToString::to_string).collect();
            rows.push((name.into(), format!("{} ({})", device.description(), dtypes.join(", "))));
        }
    }
    for (index, adapter) in adapters().iter().enumerate() {
        let what = format!(
            "{}: API {:?}, type {}, driver {}, f16 {}, largest buffer {}, largest binding {}",
            adapter.name,
            adapter.api,
            adapter.kind,
            adapter.driver,
            if adapter.f16 { "yes" } else { "no" },
            mebibytes(adapter.max_buffer),
            mebibytes(adapter.max_binding),
        );
        rows.push((format!("wgpu:{index}"), what));
    }
    if adapters().is_empty() {
        rows.push(("wgpu".into(), "no Vulkan, Metal or DX12 adapter on this machine".into()));
    }
    for (name, feature) in [("cuda", cfg!(feature = "cuda")), ("cpu", cfg!(feature = "cpu"))] {
        let what = if feature {
            "built in".to_owned()
        } else {
            format!("not in this build: cargo build --release --features {name}")
        };
        rows.push((name.into(), what));
    }
    let vulkan = if cfg!(feature = "vulkan") {
        "kernels for Vulkan are compiled to SPIR-V"
    } else {
        "kernels for Vulkan are written in WGSL; to SPIR-V: cargo build --release --features vulkan"
    };
    rows.push(("vulkan".into(), vulkan.into()));
    if let Ok(auto) = Device::open("auto") {
        rows.push(("auto".into(), format!("is {} here", auto.name())));
    }
    print_line(table::facts(&rows, NAMES, Stream::Out.width()))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
