"""Networks as JSON, and back."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, get_args

from .layers import Composite, Leaf, Network, check


def to_json(value: Any, *, labels: bool = False) -> Any:
    """A network, layer or any of their fields as JSON values: a dataclass becomes its fields and
    its `kind`, a tuple a list.

    With `labels` it also has what papers call its blocks, which is not part of what a network is.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {
            "kind": type(value).__name__,
            **{
                field.name: to_json(getattr(value, field.name), labels=labels)
                for field in fields(value)
                if field.compare or labels
            },
        }
    return [to_json(item, labels=labels) for item in value] if isinstance(value, tuple) else value


def from_json(value: Any) -> Any:
    """The inverse of `to_json`. Raises `SpecError` for a kind of layer that does not exist, or a
    field out of range.
    """
    if isinstance(value, dict):
        kinds: dict[str, Any] = {
            kind.__name__: kind for kind in (*get_args(Leaf), *get_args(Composite), Network)
        }
        kind = value.get("kind", "")
        check(kind in kinds, "from_json", "kind", f"one of {', '.join(kinds)}", kind)
        return kinds[kind](
            **{name: from_json(item) for name, item in value.items() if name != "kind"}
        )
    return tuple(map(from_json, value)) if isinstance(value, list) else value
