"""The plugin is what the protocols say. Checked by mypy, never run."""

import googlenet_mindspore
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
    Trains,
    TrainsInParallel,
    Writes,
)

backend: Backend = googlenet_mindspore
compiles: Compiles = googlenet_mindspore
has_forms: HasForms = googlenet_mindspore
differentiates: Differentiates = googlenet_mindspore
saves: Saves = googlenet_mindspore
saves_for_others: SavesForOthers = googlenet_mindspore
trains: Trains = googlenet_mindspore
trains_in_parallel: TrainsInParallel = googlenet_mindspore
sets_threads: SetsThreads = googlenet_mindspore
shows_traps: ShowsTraps = googlenet_mindspore
names_layers: NamesLayers = googlenet_mindspore
runs_layers: RunsLayers = googlenet_mindspore
writes: Writes = googlenet_mindspore
adopts: Adopts = googlenet_mindspore
runs_own: RunsOwn = googlenet_mindspore
