"""The plugin is what the protocols say. Checked by mypy, never run."""

import googlenet_jax
from googlenet.backend.protocols import (
    Adopts,
    Backend,
    Compiles,
    Differentiates,
    HasForms,
    LeavesParallel,
    Saves,
    SetsPrecision,
    SetsThreads,
    Trains,
    TrainsInParallel,
    Writes,
)

backend: Backend = googlenet_jax
compiles: Compiles = googlenet_jax
has_forms: HasForms = googlenet_jax
differentiates: Differentiates = googlenet_jax
saves: Saves = googlenet_jax
trains: Trains = googlenet_jax
trains_in_parallel: TrainsInParallel = googlenet_jax
leaves_parallel: LeavesParallel = googlenet_jax
sets_threads: SetsThreads = googlenet_jax
sets_precision: SetsPrecision = googlenet_jax
writes: Writes = googlenet_jax
adopts: Adopts = googlenet_jax
