"""A cache of its own for every test, and the digits."""

import pytest

from googlenet.data.sets import load_data


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("GOOGLENET_CACHE_DIR", str(folder))
    monkeypatch.delenv("GOOGLENET_DATA_DIR", raising=False)
    monkeypatch.setattr("googlenet.data.places.SYSTEM", tmp_path / "no package")
    return folder


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", (1, 8, 8))
