"""The plugin is what the protocols say. Checked by mypy, never run."""

import googlenet_onnx
from googlenet.backend.protocols import (
    Backend,
    Compiles,
    HasForms,
    Quantises,
    RunsFiles,
    Saves,
    SetsPrecision,
    SetsThreads,
    Writes,
)

backend: Backend = googlenet_onnx
compiles: Compiles = googlenet_onnx
quantises: Quantises = googlenet_onnx
has_forms: HasForms = googlenet_onnx
runs_files: RunsFiles = googlenet_onnx
saves: Saves = googlenet_onnx
sets_threads: SetsThreads = googlenet_onnx
sets_precision: SetsPrecision = googlenet_onnx
writes: Writes = googlenet_onnx
