"""The plugin is what the protocols say. Checked by mypy, never run."""

import googlenet_paddle
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

backend: Backend = googlenet_paddle
compiles: Compiles = googlenet_paddle
has_forms: HasForms = googlenet_paddle
differentiates: Differentiates = googlenet_paddle
saves: Saves = googlenet_paddle
saves_for_others: SavesForOthers = googlenet_paddle
trains: Trains = googlenet_paddle
trains_in_parallel: TrainsInParallel = googlenet_paddle
sets_threads: SetsThreads = googlenet_paddle
shows_traps: ShowsTraps = googlenet_paddle
traces: Traces = googlenet_paddle
names_layers: NamesLayers = googlenet_paddle
runs_layers: RunsLayers = googlenet_paddle
writes: Writes = googlenet_paddle
adopts: Adopts = googlenet_paddle
runs_own: RunsOwn = googlenet_paddle
