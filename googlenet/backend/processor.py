"""Which instructions the processor has for a lower precision: without them a framework would be
slower in it than in float32, or wrong.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

#: For each precision, the instructions that multiply in it, any of which will do, as Linux names
#: them: of x86, then of ARM. int8 needs those that add up in 32 bits; AVX2's own do so in 16, and
#: saturate.
INSTRUCTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "bfloat16": ("avx512_bf16", "amx_bf16", "bf16"),
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp"),
}
#: What macOS calls them.
_APPLE: Final = {"FEAT_BF16": "bf16", "FEAT_DotProd": "asimddp"}
_CPUINFO: Final = Path("/proc/cpuinfo")


def multiplies(dtype: str) -> bool:
    """Whether the processor multiplies in `dtype`, one of `INSTRUCTIONS`. False where the system
    does not say.
    """
    return not features().isdisjoint(INSTRUCTIONS[dtype])


def processor_dtypes(*dtypes: str) -> tuple[str, ...]:
    """ "float32", and those of `dtypes` in which the processor multiplies, as it takes to compile
    for them.
    """
    return ("float32", *(each for each in dtypes if multiplies(each)))


@cache
def features() -> frozenset[str]:
    """What Linux or macOS says that the processor has, by Linux' names; empty elsewhere."""
    try:
        if sys.platform == "darwin":
            asked = [f"hw.optional.arm.{each}" for each in _APPLE]
            done = subprocess.run(["sysctl", *asked], capture_output=True, text=True, timeout=10)
            return frozenset(
                _APPLE[name.rpartition(".")[2]]
                for name, _, value in (line.partition(": ") for line in done.stdout.splitlines())
                if value.strip() == "1"
            )
        return _listed(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except (OSError, subprocess.SubprocessError):
        return frozenset()


def _listed(text: str) -> frozenset[str]:
    """The features that every processor of a /proc/cpuinfo has."""
    lists = [
        frozenset(words.split())
        for name, _, words in (line.partition(":") for line in text.splitlines())
        if name.strip() in ("flags", "Features")
    ]
    return frozenset.intersection(*lists) if lists else frozenset()
