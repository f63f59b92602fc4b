"""Which instructions the processor has for a lower precision: without them a framework would be
slower in it than in float32, or wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

#: For each precision, the instructions of x86 that multiply in it, as Linux names them; any will
#: do. int8 needs those that add up in 32 bits: AVX2's own do so in 16, and saturate.
INSTRUCTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "bfloat16": ("avx512_bf16", "amx_bf16"),
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8"),
}
_CPUINFO: Final = Path("/proc/cpuinfo")


def multiplies(dtype: str) -> bool:
    """Whether the processor multiplies in `dtype`, one of `INSTRUCTIONS`. False where the system
    does not say, which only Linux does.
    """
    return not features().isdisjoint(INSTRUCTIONS[dtype])


@cache
def features() -> frozenset[str]:
    """What Linux says that every processor has; empty where there is no /proc/cpuinfo."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    lines = (line.partition(":") for line in text.splitlines())
    lists = [frozenset(words.split()) for name, _, words in lines if name.strip() == "flags"]
    return frozenset.intersection(*lists) if lists else frozenset()
