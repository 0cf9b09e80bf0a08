"""Writes reference.bin: blocks of each format, and the numbers that the gguf package (0.19.0) makes of them."""

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

BLOCKS = 16
FORMATS = [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.IQ4_NL, T.IQ4_XS, T.MXFP4]
# Where in a block its binary16 numbers stand.
HALVES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0], T.MXFP4: []}

random = np.random.default_rng(1)
np.seterr(all="ignore")
with open(__file__.replace("reference.py", "reference.bin"), "wb") as out:
    for format in FORMATS:
        _, size = GGML_QUANT_SIZES[format]
        blocks = random.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
        for at in HALVES[format]:
            # Half of the scales are of ordinary size, as random bits seldom are.
            scales = random.standard_normal(BLOCKS // 2).astype(np.float16)
            blocks[: BLOCKS // 2, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
            for row, special in [(8, np.inf), (9, np.nan), (10, -np.inf)]:
                blocks[row, at : at + 2] = np.array([special], np.float16).view(np.uint8)
        blocks[11], blocks[12] = 0, 255
        if format == T.MXFP4:
            blocks[:5, 0] = [0, 1, 2, 254, 255]
        out.write(blocks.tobytes())
        out.write(dequantize(blocks.reshape(1, -1), format).tobytes())
