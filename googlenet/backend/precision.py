"""What keeps a framework from computing float32 in less than float32: the environment in which it
is imported; a backend's own hook, `SetsPrecision`, does the rest.
"""

from __future__ import annotations

#: NVIDIA's libraries use no TensorFloat-32 for float32, whatever a framework asks for; oneDNN, by
#: either of its names, neither that nor bfloat16.
FULL_PRECISION = {
    "NVIDIA_TF32_OVERRIDE": "0",
    "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
    "DNNL_DEFAULT_FPMATH_MODE": "STRICT",
}
