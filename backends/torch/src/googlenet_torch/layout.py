"""Every change of layout: PyTorch's own is canonical (NCHW, OIHW) except for a dense layer on a
map, which it flattens; only the order in memory may be another.
"""

from __future__ import annotations

import numpy as np
import torch

from googlenet.arrays import Array
from googlenet.backend.shared import flattened
from googlenet.spec import ParamSpec


def to_native(spec: ParamSpec, array: Array) -> torch.Tensor:
    """A canonical array as a tensor with its own memory; a dense weight (O, C, H, W) becomes (O,
    C·H·W).
    """
    return torch.from_numpy(flattened(spec, array).copy())


def from_native(spec: ParamSpec, tensor: torch.Tensor) -> Array:
    """The inverse of `to_native`, as a float32 array with its own memory."""
    array: Array = tensor.detach().cpu().numpy()
    return array.reshape(spec.shape).copy()


def images_to_native(images: Array, device: torch.device) -> torch.Tensor:
    """(N, C, H, W) as it is."""
    return torch.from_numpy(images).to(device)


def output_from_native(tensor: torch.Tensor) -> Array:
    """(N, C, H, W) or (N, K) as it is."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def memory_format(device: torch.device) -> torch.memory_format:
    """Channels last, in which convolutions are faster on a CPU; but not without AVX-512, where the
    backward pass of PyTorch 2.13 then corrupts the heap at some sizes ("double free or corruption"
    on a processor with AVX2, also in the conformance case exact-residual_projected).
    """
    if device.type != "cpu" or "AVX512" in torch.backends.cpu.get_cpu_capability():
        return torch.channels_last
    return torch.contiguous_format
