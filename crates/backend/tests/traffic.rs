//! What an adapter is asked for, in a process in which nobody else asks.

use burn::tensor::Tensor;
use glass_backend::{Device, TrafficCounter};

/// What wgpu says may change with its version: these are calls whose number is known.
#[test]
fn calls_are_counted_as_they_are_made() {
    let device = match Device::open("wgpu") {
        Ok(device) => device,
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => return eprintln!("not tested on wgpu: {error}"),
    };
    let numbers: Vec<f32> = (0..96u8).map(f32::from).collect();
    // Pipelines, and the numbers that kernels are launched with, are there the second time.
    for round in 0..2 {
        device.sync().unwrap();
        let mut counter = TrafficCounter::start(&device).unwrap();
        let x = Tensor::<1>::from_floats(&numbers[..], device.burn());
        device.sync().unwrap();
        let upload = counter.take();
        let y = (x * 3.0).sqrt().cos();
        let values = y.into_data().try_to_vec::<f32>().unwrap();
        let pass = counter.take();
        drop(counter);
        assert_eq!(values.len(), 96);
        if round == 1 {
            assert_eq!((upload.uploads, upload.launches, upload.bytes_read, upload.waits), (1, 0, 0, 1), "{upload:?}");
            assert_eq!((pass.launches, pass.uploads), (3, 0), "{pass:?}");
            // CubeCL hands over the kernels, and then the copy to the host.
            assert_eq!((pass.bytes_read, pass.waits, pass.submissions), (4 * 96, 1, 2), "{pass:?}");
        }
    }
}
