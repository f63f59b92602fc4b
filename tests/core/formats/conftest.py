"""A file to be read."""

import pytest


@pytest.fixture
def file(tmp_path):
    """Writes a file, whose name says nothing about its format."""

    def write(content):
        path = tmp_path / "weights"
        path.write_bytes(content)
        return path

    return write
