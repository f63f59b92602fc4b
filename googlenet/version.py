"""The one version of the core and every backend."""

__version__ = "0.1.0"
