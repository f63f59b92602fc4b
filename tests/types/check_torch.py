"""The plugin is what the protocols say. Checked by mypy, never run."""

import googlenet_torch
from googlenet.backend.protocols import (
    Adopts,
    Backend,
    Compiles,
    Differentiates,
    HasForms,
    NamesLayers,
    OpensHeads,
    RunsLayers,
    RunsOwn,
    Saves,
    SavesForOthers,
    SetsPrecision,
    SetsThreads,
    ShowsTraps,
    Traces,
    Trains,
    TrainsInParallel,
    Writes,
)

backend: Backend = googlenet_torch
compiles: Compiles = googlenet_torch
has_forms: HasForms = googlenet_torch
differentiates: Differentiates = googlenet_torch
saves: Saves = googlenet_torch
saves_for_others: SavesForOthers = googlenet_torch
trains: Trains = googlenet_torch
trains_in_parallel: TrainsInParallel = googlenet_torch
sets_threads: SetsThreads = googlenet_torch
sets_precision: SetsPrecision = googlenet_torch
shows_traps: ShowsTraps = googlenet_torch
traces: Traces = googlenet_torch
names_layers: NamesLayers = googlenet_torch
runs_layers: RunsLayers = googlenet_torch
writes: Writes = googlenet_torch
adopts: Adopts = googlenet_torch
runs_own: RunsOwn = googlenet_torch
opens_heads: OpensHeads = googlenet_torch
