"""Plugins for tests of discovery: distributions in a folder, as an installation leaves them, and
modules for their entry points.
"""

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: A backend without a trainer, and one with; what they do is the reference's.
FORWARD = """
from googlenet.reference import build, forward, params_of, unbiased_running_variance
name = __name__.removesuffix("_plugin")
"""
TRAINS = FORWARD + "from googlenet.reference import trainer\n"


def distribution(site, name, version="1.0", *, groups=None, top_level=None):
    """The metadata of a distribution in the folder `site`; `groups` are its entry points."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    text = ""
    for group, points in (groups or {}).items():
        text += f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
    (folder / "entry_points.txt").write_text(text)
    if top_level is not None:
        (folder / "top_level.txt").write_text(f"{top_level}\n")


def project(site, pyproject):
    """The metadata of one of this project's own distributions, as its pyproject.toml has them."""
    about = tomllib.loads(Path(pyproject).read_text())["project"]
    distribution(site, about["name"], about["version"], groups=about["entry-points"])


def plugin(site, name, code=FORWARD, version="1.0", **groups):
    """A backend `name` with the module `NAME_plugin` of `code`; `groups` are further ones, without
    the `googlenet.` of their names.
    """
    more = {f"googlenet.{group}": points for group, points in groups.items()}
    own = {"googlenet.backends": {name: f"{name}_plugin"}, **more}
    distribution(site, f"googlenet-{name}", version, groups=own)
    (site / f"{name}_plugin.py").write_text(code)


def hide_installed(site):
    """Whatever backends the environment has, but for the core's: a distribution of the same name
    that is found first hides them.
    """
    for point in entry_points(group="googlenet.backends"):
        if point.dist.name != "googlenet" and not list(site.glob(f"{point.dist.name}-*")):
            folder = site / f"{point.dist.name.replace('-', '_')}-0.dist-info"
            folder.mkdir(parents=True, exist_ok=True)
            about = f"Metadata-Version: 2.1\nName: {point.dist.name}\nVersion: 0\n"
            (folder / "METADATA").write_text(about)
