"""Files are complete at any moment, and nothing else is replaced by one."""

import os
import stat

import pytest

from googlenet.errors import WeightsError
from googlenet.files import native_file, write_atomically


def write(path, suffix):
    """As a framework does that fails half-way."""
    with native_file(path, suffix) as name:
        with open(name, "wb") as file:
            file.write(b"half of it")
        raise RuntimeError("the framework's own")


@pytest.mark.parametrize("link", [False, True], ids=["itself", "a link to it"])
def test_a_device_is_not_replaced(tmp_path, link):
    """A rename would put a file where the system has its /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if link else pipe
    if link:
        path.symlink_to(pipe)
    with pytest.raises(OSError, match="it is a pipe, not a file"):
        write_atomically(path, b"new")
    with (
        pytest.raises(WeightsError, match="cannot be written"),
        native_file(path, ("pipe", "link")),
    ):
        raise AssertionError("it is refused before anything is written")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == (["link", "pipe"] if link else ["pipe"])


def test_what_a_link_links_to_is_replaced(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("file")
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_an_old_file_stays_if_the_new_one_fails(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    with pytest.raises(WeightsError, match="cannot be written"):
        write(path, ".pt")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.pt"]
