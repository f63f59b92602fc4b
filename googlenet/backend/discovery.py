"""Installed backends: found by entry point, imported only when one is asked for.

A backend is a module that a distribution registers as an entry point in the group
`googlenet.backends`; the entry point's name is the framework's. Nothing lists backends by hand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from ..errors import BackendError, UnknownNameError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

from .protocols import Backend

GROUP = "googlenet.backends"


ALIASES = {"pytorch": "torch", "tf": "tensorflow", "paddlepaddle": "paddle"}


#: The plugins that this project ships, for the install hint alone; a test holds it against the
#: folders of `backends/`.
SHIPPED = ("mindspore", "mxnet", "paddle", "tensorflow", "torch")


def entry_points() -> dict[str, EntryPoint]:
    """The installed backends by name, sorted; nothing is imported. Raises `BackendError` if two
    claim one name.
    """
    from importlib.metadata import entry_points as installed

    found: dict[str, EntryPoint] = {}
    for point in installed(group=GROUP):
        if point.name in found and found[point.name].value != point.value:
            raise BackendError(
                f"framework '{point.name}': registered twice, by {found[point.name].value} and"
                f" {point.value}; uninstall one"
            )
        found[point.name] = point
    return dict(sorted(found.items()))


def backends() -> tuple[str, ...]:
    """The names of the installed backends, sorted; nothing is imported. Raises `BackendError` if
    two claim one name.
    """
    return tuple(entry_points())


def install_command(name: str) -> str:
    """The command that installs one of the shipped backends from a checkout."""
    return f"pip install -c constraints/{name}.txt . ./backends/{name}"


def canonical_name(framework: str) -> str:
    """The framework's name as its backend registers it: `pytorch` → `torch`."""
    return ALIASES.get(framework.lower(), framework.lower())


def framework_version(framework: str) -> str:
    """The installed version of the framework behind a backend, found without importing it; of numpy
    for the reference.

    It is that of the distribution that the backend requires and that has the framework's name in
    its own, as paddlepaddle has, or of another that provides the same package, as tensorflow-cpu
    does. Raises `BackendError` if no such backend is installed.
    """
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    name, found = canonical_name(framework), entry_points()
    if name not in found:
        raise BackendError(f"framework '{name}': its backend is not installed")
    distribution = found[name].dist
    requirements = [
        re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        for line in (distribution and distribution.requires) or ()
    ]
    own = [each for each in requirements if each not in ("googlenet", "numpy")]
    required = next(
        (each for each in own if name in each), own[0] if own and name != "numpy" else name
    )
    try:
        return version(required)
    except PackageNotFoundError:
        providers = packages_distributions().get(required, ())
        return version(providers[0]) if providers else "unknown"


def get_backend(framework: str) -> Backend:
    """The backend module of `framework`, a name or an alias (`pytorch`, `tf`, `paddlepaddle`).

    Raises `UnknownNameError` if there is no such framework here, `BackendError` if its plugin is
    not installed or cannot be imported; both list what is installed and how to install the rest.
    """
    name, found = canonical_name(framework), entry_points()
    if name not in found:
        installed = f"installed: {', '.join(found) or 'none'}"
        if name in SHIPPED:
            raise BackendError(
                f"framework '{name}': its backend is not installed ({installed}); in a checkout"
                f" run: {install_command(name)}"
            )
        missing = [shipped for shipped in SHIPPED if shipped not in found]
        hint = (
            f"; can be installed: {', '.join(missing)}, in a checkout with:"
            f" {install_command('NAME')}"
            if missing
            else ""
        )
        raise UnknownNameError(f"framework: no backend '{framework}' ({installed}{hint})")
    try:
        return cast(Backend, found[name].load())
    except ImportError as error:
        again = f"; install it with: {install_command(name)}" if name in SHIPPED else ""
        raise BackendError(
            f"framework '{name}': its backend {found[name].value} cannot be imported:"
            f" {error}{again}"
        ) from error
