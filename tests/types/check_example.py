"""A third party's backend is one: read by mypy, never run."""

import googlenet_example
import googlenet_example.faulty
from googlenet.backend.protocols import Backend, Differentiates, ShowsTraps, Trains

backend: Backend = googlenet_example
differentiates: Differentiates = googlenet_example.faulty
trains: Trains = googlenet_example.faulty
shows_traps: ShowsTraps = googlenet_example
