"""Installed backends: found by entry point, imported only when one is asked for.

A backend is a module that a distribution registers as an entry point in the group
`googlenet.backends`; the entry point's name is the framework's. Two more groups say what else is
known without importing it: `googlenet.aliases`, other names for it, and `googlenet.frameworks`, the
package whose version is the framework's. Nothing lists backends by hand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

from ..errors import BackendError, UnknownNameError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

from .protocols import Backend

GROUP = "googlenet.backends"

#: Other names of backends: the entry point's name is the alias, its value the backend's name.
ALIASES_GROUP = "googlenet.aliases"

#: The framework behind a backend: the entry point's name is the backend's, its value the
#: framework's top-level package.
FRAMEWORKS_GROUP = "googlenet.frameworks"

#: The backend that is always there.
REFERENCE = "numpy"

#: The plugins that this project ships and their aliases, only for the install hint: what is not
#: installed has no entry points. A test compares this with `backends/*/pyproject.toml`.
SHIPPED: Final[Mapping[str, tuple[str, ...]]] = {
    "jax": ("flax",),
    "mindspore": (),
    "mxnet": (),
    "onnx": ("onnxruntime",),
    "paddle": ("paddlepaddle",),
    "tensorflow": ("tf",),
    "torch": ("pytorch",),
}


def entry_points(group: str = GROUP) -> dict[str, EntryPoint]:
    """The installed entry points of `group`, by default the backends, by name and sorted; nothing
    is imported. Raises `BackendError` if two claim one name.
    """
    from importlib.metadata import entry_points as installed

    found: dict[str, EntryPoint] = {}
    for point in installed(group=group):
        if point.name in found and found[point.name].value != point.value:
            what = "framework" if group == GROUP else group
            raise BackendError(
                f"{what} '{point.name}': registered twice, by {found[point.name].value} and"
                f" {point.value}; uninstall one"
            )
        found[point.name] = point
    return dict(sorted(found.items()))


def backends() -> tuple[str, ...]:
    """The names of the installed backends, sorted; nothing is imported. Raises `BackendError` if
    two claim one name.
    """
    return tuple(entry_points())


#: Why two frameworks are never installed into one environment: the second would replace the numpy
#: of the first, and break both.
WHY_APART = "frameworks need different versions of NumPy"


def install_lines(name: str) -> tuple[str, str]:
    """Two commands that install one of the shipped backends from a checkout, into its own
    environment. Every framework has wheels for Python 3.11.
    """
    return (
        f"python3.11 -m venv {name}-env",
        f"{name}-env/bin/pip install -c constraints/{name}.txt . ./backends/{name}",
    )


def install_command(name: str) -> str:
    """The same on one line."""
    return " && ".join(install_lines(name))


def canonical_name(framework: str) -> str:
    """The framework's name as its backend registers it: `pytorch` → `torch`.

    A name that is not an alias is returned as it is, in lower case. Raises `UnknownNameError` for
    anything but a string, `BackendError` if two backends claim one alias.
    """
    if not isinstance(framework, str):
        raise UnknownNameError(
            f"framework: expected a name such as 'torch', got {framework!r}; installed:"
            f" {', '.join(backends())}"
        )
    name = framework.lower()
    if name in entry_points():
        return name
    alias = entry_points(ALIASES_GROUP).get(name)
    if alias is not None:
        return alias.value
    return next((shipped for shipped, aliases in SHIPPED.items() if name in aliases), name)


def chosen_frameworks(
    names: Sequence[str] | None = None, interpreters: Mapping[str, str] | None = None
) -> list[str]:
    """The canonical names of the frameworks `names`, each once; by default all that are installed
    or have an interpreter in `interpreters`, the reference first.

    Raises `UnknownNameError` or `BackendError` for one that is neither, and `UnknownNameError` for
    an interpreter's path that does not exist.
    """
    paths = interpreters or {}
    for name, path in paths.items():
        if not os.path.isfile(path):
            raise UnknownNameError(
                f"`interpreters`: {path}, given for '{name}', is not a file; give the path of a"
                f" Python interpreter in which {name} is installed"
            )
    installed = backends()
    if names is None:
        return sorted({*installed, *paths}, key=lambda name: (name != REFERENCE, name))
    chosen = list(dict.fromkeys(map(canonical_name, names)))
    if not chosen:
        raise UnknownNameError(
            f"`frameworks`: expected at least one, got none; installed: {', '.join(installed)}"
        )
    for name in chosen:
        if name not in installed and name not in paths:
            try:
                get_backend(name)
            except BackendError as error:
                raise BackendError(
                    f"{error}; or name an interpreter that has it: `interpreters` {name}=PATH"
                ) from error
    return chosen


def framework_version(framework: str) -> str:
    """The installed version of the framework behind a backend, found without importing anything.

    It is that of the distribution with the package that the backend's plugin declares in the group
    `googlenet.frameworks`, or "unknown" if there is none; for a plugin that declares nothing it is
    the plugin's own. Raises `BackendError` if no such backend is installed.
    """
    name, found = canonical_name(framework), entry_points()
    if name not in found:
        raise BackendError(f"framework '{name}': its backend is not installed")
    plugin = found[name].dist
    if plugin is None:
        return "unknown"
    declared = (
        point.value
        for point in plugin.entry_points
        if point.group == FRAMEWORKS_GROUP and point.name == name
    )
    package = next(declared, None)
    return plugin.version if package is None else _package_version(package)


def _package_version(package: str) -> str:
    """The version of the distribution that provides the top-level `package`."""
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    try:
        return version(package)
    except PackageNotFoundError:
        pass  # it has another name: look at every installed file, which takes 0.1 s or more
    # tensorflow-cpu before an add-on that puts a file into tensorflow's folder.
    providers = sorted(
        packages_distributions().get(package, ()),
        key=lambda name: (not name.lower().startswith(package.lower()), len(name), name),
    )
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
                f"framework '{name}': its backend is not installed ({installed});"
                f" {_install_hint(name)}"
            )
        missing = [shipped for shipped in SHIPPED if shipped not in found]
        others = f"; can be installed: {', '.join(missing)}" if missing else ""
        hint = (
            f"; to install one of these from a checkout, into a new environment, since {WHY_APART}:"
            f" {install_command('NAME')}"
            if missing
            else ""
        )
        raise UnknownNameError(f"framework: no backend '{framework}' ({installed}{others}){hint}")
    try:
        return cast(Backend, found[name].load())
    except Exception as error:  # in an unsuitable environment a framework may raise anything
        again = f"; {_install_hint(name)}" if name in SHIPPED else ""
        raise BackendError(
            f"framework '{name}': its backend {found[name].value} cannot be imported:"
            f" {_reason(error)}{again}"
        ) from error


def _install_hint(name: str) -> str:
    return (
        f"from a checkout, install it into a new environment, since {WHY_APART}:"
        f" {install_command(name)}"
    )


def _reason(error: Exception) -> str:
    """The first line of an error, with its class unless that is an `ImportError`."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return first if isinstance(error, ImportError) else f"{type(error).__name__}: {first}"
