"""The reference is a backend in every respect: read by mypy, never run."""

import googlenet.reference
from googlenet.backend.protocols import (
    Backend,
    Compiles,
    Differentiates,
    Quantises,
    Saves,
    SetsThreads,
    Trains,
)

backend: Backend = googlenet.reference
differentiates: Differentiates = googlenet.reference
saves: Saves = googlenet.reference
compiles: Compiles = googlenet.reference
quantises: Quantises = googlenet.reference
trains: Trains = googlenet.reference
sets_threads: SetsThreads = googlenet.reference
