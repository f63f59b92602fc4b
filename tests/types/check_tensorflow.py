"""The plugin is what the protocols say. Checked by mypy, never run."""

import googlenet_tensorflow
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
    SetsPrecision,
    SetsThreads,
    ShowsTraps,
    Traces,
    Trains,
    TrainsInParallel,
    Writes,
)

backend: Backend = googlenet_tensorflow
compiles: Compiles = googlenet_tensorflow
has_forms: HasForms = googlenet_tensorflow
differentiates: Differentiates = googlenet_tensorflow
saves: Saves = googlenet_tensorflow
saves_for_others: SavesForOthers = googlenet_tensorflow
trains: Trains = googlenet_tensorflow
trains_in_parallel: TrainsInParallel = googlenet_tensorflow
sets_threads: SetsThreads = googlenet_tensorflow
sets_precision: SetsPrecision = googlenet_tensorflow
shows_traps: ShowsTraps = googlenet_tensorflow
traces: Traces = googlenet_tensorflow
names_layers: NamesLayers = googlenet_tensorflow
runs_layers: RunsLayers = googlenet_tensorflow
writes: Writes = googlenet_tensorflow
adopts: Adopts = googlenet_tensorflow
runs_own: RunsOwn = googlenet_tensorflow
