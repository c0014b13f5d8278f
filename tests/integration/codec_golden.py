#!/usr/bin/env python3
"""What the `gguf` package makes of quantised blocks, for the tests of core/tensor/codec.

Run by hand when a codec is added; needs the PyPI packages `gguf` and `numpy`:

    python3 tests/integration/codec_golden.py blocks tests/fixtures/codec/blocks.golden
    python3 tests/integration/codec_golden.py tensors MODEL.gguf OUT

`blocks`: one line a row of two blocks: the type, the row's bytes and its values as float32, both in
hex. Bytes are random from a fixed seed, scales are halves of ordinary size or at the ends of what
halves are. `tensors`: one line a tensor of a real file: name, type, number of values, checksum of
its values (codec_test.cc computes the same from Tenon's codecs).
"""
import sys

import gguf
import numpy as np

# Type -> offsets of the halves in a block.
HALVES = {"BF16": [], "F16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
SPECIAL = [0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0xFBFF]  # zeros, subnormals, the largest


def dequantised(data, kind):
    return np.ascontiguousarray(gguf.quants.dequantize(data, kind), dtype="<f4")


def blocks(out):
    rng = np.random.default_rng(20251124)
    with open(out, "w", encoding="ascii") as file:
        for name, halves in HALVES.items():
            kind = gguf.GGMLQuantizationType[name]
            values, size = gguf.GGML_QUANT_SIZES[kind]
            count = 2 if values > 1 else 32
            for line in range(2):
                row = rng.integers(0, 256, (count, size), dtype=np.uint8)
                if values == 1:  # floats: no infinity, no NaN
                    row = rng.normal(0, 1, count).astype("<f4").view(np.uint8).reshape(count, 4)[:, 2:]
                for at in halves:
                    half = rng.normal(0, 0.05, count).astype("<f2")
                    if line == 1:
                        half = rng.choice(np.array(SPECIAL, "<u2"), count).view("<f2")
                    row[:, at:at + 2] = half.view(np.uint8).reshape(count, 2)
                row = np.ascontiguousarray(row).reshape(1, count * size)
                floats = dequantised(row, kind)
                assert np.isfinite(floats).all()
                file.write(f"{name} {row.tobytes().hex()} {floats.tobytes().hex()}\n")


def checksum(floats):
    # + 0: the sign of a zero is an accident of how it was computed.
    bits = (floats.reshape(-1) + np.float32(0)).view("<u4").astype(np.uint64)
    place = np.arange(bits.size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
    return int(((bits + np.uint64(1)) * place).sum(dtype=np.uint64))


def tensors(model, out):
    with open(out, "w", encoding="utf-8") as file:
        for tensor in gguf.GGUFReader(model).tensors:
            total = 0 if tensor.n_elements == 0 else checksum(dequantised(tensor.data, tensor.tensor_type))
            file.write(f"{tensor.name} {tensor.tensor_type.name} {tensor.n_elements} {total:016x}\n")


if __name__ == "__main__":
    {"blocks": blocks, "tensors": tensors}[sys.argv[1]](*sys.argv[2:])
