"""Which line of the user's code made a layer, and called it."""

import sys
import types
import weakref

import pytest

from googlenet.jobs.lines import Lines, at

LIBRARY = """
class Base:
    def __init__(self, *children):
        self.children = children
    def __getitem__(self, key):
        return self.children[key]

class Layer(Base):
    def __init__(self, size=1, *, name=None):
        super().__init__()
        self.size = size
"""
FILE = """
from library import Base, Layer

class Block(Base):
    def __init__(self, size):
        super().__init__()
        self.one, self.two = Layer(size), Layer(size + 1)

def wrapped(size):
    return Layer(
        size,  # the size
        name="long",
    )

net = Base(Block(3), wrapped(4), *[Layer(each) for each in range(2)])
late = lambda: Layer(9)
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The user's module, whose layers were noted, and the lines."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    library = types.ModuleType("library")
    exec(compile(LIBRARY, "/library.py", "exec"), vars(library))
    monkeypatch.setitem(sys.modules, "library", library)
    library.__file__ = "/library.py"
    file = folder / "mine.py"
    file.write_text(FILE)
    mine = types.ModuleType("mine")
    mine.__file__ = str(file)
    monkeypatch.setitem(sys.modules, "mine", mine)
    lines = Lines(lambda name: name == str(file))
    original = library.Base.__init__
    with lines.noting((library.Base,)):
        exec(compile(FILE, str(file), "exec"), vars(mine))
    assert library.Base.__init__ is original
    return mine, lines


def shown(lines, value):
    return [(each.line, each.text) for each in lines.made(value)]


def test_the_call_that_made_a_layer_is_known_and_what_led_to_it(made):
    mine, lines = made
    block, helped, first, _ = mine.net
    assert shown(lines, block.one) == [(7, "Layer(size)"), (15, "Block(3)")]
    assert shown(lines, block.two) == [(7, "Layer(size + 1)"), (15, "Block(3)")]
    assert shown(lines, block) == [(15, "Block(3)")]
    assert shown(lines, helped) == [(10, "Layer(size, name='long')"), (15, "wrapped(4)")]
    assert shown(lines, first)[0] == (15, "Layer(each)")
    assert {each.file for each in lines.made(block.one)} == {"mine.py"}


def test_what_was_made_otherwise_is_not_known(made):
    mine, lines = made
    assert lines.made(mine.late()) == ()
    assert lines.made("a text") == ()
    kept = weakref.ref(mine.net)
    del mine.net
    assert kept() is None  # nothing keeps the user's layers alive


def test_the_users_own_classes_and_lines(made):
    mine, lines = made
    assert lines.is_own(mine.net[0])
    assert not lines.is_own(mine.net[1])
    line = lines.called(mine.__file__, 16)
    assert (line.line, line.text) == (16, "late = lambda: Layer(9)")
    assert lines.called("/library.py", 3) is None


def test_the_object_at_a_place(made):
    mine, _ = made
    assert at(mine.net, "net") is mine.net
    assert at(mine.net, "net[0].two") is mine.net[0].two
    for place in ("net[0].three", "net[9]", "other", "net.late()", "", "net["):
        assert at(mine.net, place) is None
