"""Writes tests/python.gguf, which the Python package gguf 0.19.0 makes of these keys and tensors."""

from pathlib import Path

import gguf
import numpy as np

writer = gguf.GGUFWriter(Path(__file__).with_name("python.gguf"), "llama")
writer.add_name("by Python")
writer.add_context_length(2048)
writer.add_rope_freq_base(1e6)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_add_bos_token(True)
writer.add_token_list(["<s>", "\u2581the", "\U0001f999", "<0x0A>"])
writer.add_token_scores([0.0, -1.5, -2.25, 0.0])
writer.add_token_types([3, 1, 1, 6])
writer.add_uint64("glass.u64", 2**63)
writer.add_float64("glass.f64", 1e-300)
writer.add_array("glass.nested", [[1, 2], [3]])

numbers = (np.arange(2 * 256, dtype=np.float32).reshape(2, 256) - 256) / 64
writer.add_tensor("f32", numbers[:, :3].copy())
writer.add_tensor("f16", numbers.astype(np.float16))
for kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_1):
    writer.add_tensor(kind.name, gguf.quants.quantize(numbers, kind), raw_dtype=kind)
blocks = (np.arange(3 * 2 * 144) % 251).astype(np.uint8).reshape(3, 2, 144)
writer.add_tensor("Q4_K", blocks, raw_dtype=gguf.GGMLQuantizationType.Q4_K)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
