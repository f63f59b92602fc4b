"""A graph in int8: onnxruntime's own static quantisation, with its nodes QuantizeLinear and
DequantizeLinear.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnxruntime import quantization

from googlenet.arrays import Array
from googlenet.temporary import temporary_folder

#: Images in one pass of calibration.
_CHUNK = 8


def quantised(proto: onnx.ModelProto, images: Array) -> bytes:
    """The model `proto` with weights of 8 bits for each output channel and maps of 8 bits, which
    are rounded between the smallest and the largest values that `images` (N, C, H, W) float32 give.

    Weights are signed and maps are not, for which onnxruntime has its fast kernels on x86. A dense
    layer hands on its sums as they are, so that no two logits become the same number.
    """
    # Shapes are there already, and nothing is left to fold: what it would advise otherwise.
    proto.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    with temporary_folder("quantised") as folder:
        path = folder / "model.onnx"
        quantization.quantize_static(
            proto,
            path,
            _Images(images),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},
        )
        return path.read_bytes()


class _Images(quantization.CalibrationDataReader):
    """The images, a few at a time."""

    def __init__(self, images: Array) -> None:
        starts = range(0, len(images), _CHUNK)
        self._pieces: Iterator[Array] = (images[start : start + _CHUNK] for start in starts)

    def get_next(self) -> dict[str, Array] | None:
        """The next few as the model takes them; None after the last."""
        piece = next(self._pieces, None)
        return None if piece is None else {"images": piece}
