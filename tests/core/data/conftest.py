"""A cache of its own for every test, and the digits."""

import pytest

from googlenet.data.sets import load_data


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GOOGLENET_CACHE_DIR", str(folder))
    monkeypatch.delenv("GOOGLENET_DATA_DIR", raising=False)
    return folder


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", (1, 8, 8))
