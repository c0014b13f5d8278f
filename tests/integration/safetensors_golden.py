#!/usr/bin/env python3
"""Writes tests/fixtures/safetensors/small.safetensors with the safetensors package.

Run by hand when the fixture is to change; needs the PyPI packages `safetensors` and `numpy`:

    python3 tests/integration/safetensors_golden.py tests/fixtures/safetensors/small.safetensors
"""
import sys

import numpy as np
from safetensors import TensorSpec, serialize_file

values = (np.arange(15, dtype="<f4") - 5) * np.float32(0.375)
values[13], values[14] = -np.inf, np.nan
upper = np.ascontiguousarray(values.view("<u2")[1::2])  # all values but the NaN are exact in it


arrays = {
    "f32": ("float32", values.reshape(3, 5)),
    "f16": ("float16", values.astype("<f2").reshape(3, 5)),
    "bf16": ("bfloat16", upper.reshape(3, 5)),
    "ids": ("int64", np.arange(3)),
    "none": ("float32", np.zeros((0, 4), "<f4")),
    "one": ("float32", np.array(7.5, "<f4")),
}
specs = {name: TensorSpec(dtype=dtype, shape=array.shape, data_ptr=array.ctypes.data, data_len=array.nbytes)
         for name, (dtype, array) in arrays.items()}
serialize_file(specs, sys.argv[1], metadata={"note": 'é"x'})
