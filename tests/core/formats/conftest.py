"""A file to be read."""

import pytest


@pytest.fixture
def file(tmp_path):
    """Writes a file, whose name says nothing about its format, unless an ending is given."""

    def write(content, ending=""):
        path = tmp_path / f"weights{ending}"
        path.write_bytes(content)
        return path

    return write
