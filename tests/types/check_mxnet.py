"""Type-checked, not run: the module of MXNet is all of these."""

import googlenet_mxnet
from googlenet.backend.protocols import (
    Adopts,
    Backend,
    Compiles,
    Differentiates,
    HasForms,
    NamesLayers,
    RunsLayers,
    RunsOwn,
    Saves,
    SavesForOthers,
    SetsThreads,
    ShowsTraps,
    Traces,
    Trains,
    TrainsInParallel,
    Writes,
)

backend: Backend = googlenet_mxnet
compiles: Compiles = googlenet_mxnet
has_forms: HasForms = googlenet_mxnet
differentiates: Differentiates = googlenet_mxnet
saves: Saves = googlenet_mxnet
saves_for_others: SavesForOthers = googlenet_mxnet
trains: Trains = googlenet_mxnet
trains_in_parallel: TrainsInParallel = googlenet_mxnet
sets_threads: SetsThreads = googlenet_mxnet
shows_traps: ShowsTraps = googlenet_mxnet
traces: Traces = googlenet_mxnet
names_layers: NamesLayers = googlenet_mxnet
runs_layers: RunsLayers = googlenet_mxnet
writes: Writes = googlenet_mxnet
adopts: Adopts = googlenet_mxnet
runs_own: RunsOwn = googlenet_mxnet
