"""Text from data reaches the terminal with nothing in it that the terminal would act on."""

import ast
import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from googlenet.cli import output
from googlenet.errors import DataError
from googlenet.printable import printable, printable_json, shown_path

HOSTILE = "\x1b[31mred\x9b2J\x07\r\n[/b][b]\u202eevil\udcff\x00\u2028"
SHOWN = r"\x1b[31mred\x9b2J\x07\r\n[/b][b]\u202eevil\xff\x00\u2028"


def test_what_cannot_be_seen_is_made_visible():
    assert printable(HOSTILE) == SHOWN
    assert printable("a\tb\U000e0041") == r"a\tb\U000e0041"
    assert printable("one\ntwo", lines=True) == "one\ntwo"
    assert printable(SHOWN) == SHOWN  # twice is as once


@pytest.mark.parametrize("text", ["plain", "猫　ねこ", "é × − ≤", "a\xa0b", r"C:\new"])
def test_what_can_be_seen_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize("ascii_only", [False, True])
def test_json_means_the_same(ascii_only):
    value = {HOSTILE: [HOSTILE, "猫 × \U000e0041\U0001f600", 1.5, None]}
    plain = json.dumps(value, indent=2, ensure_ascii=False)
    text = printable_json(plain, ascii_only=ascii_only)
    assert json.loads(text) == value
    assert all(c.isprintable() or c == "\n" for c in text)
    assert text.isascii() is ascii_only


def test_a_long_path_shows_its_beginning_and_end():
    assert shown_path("a" * 300) == "a" * 300
    shown = shown_path("a" * 5000 + "z")
    assert len(shown) < 300
    assert shown.startswith("aaa")
    assert shown.endswith("az")


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_every_way_to_print_escapes(terminal, monkeypatch):
    class Stream(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return terminal

    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdout", Stream())
    monkeypatch.setattr(sys, "stderr", Stream())
    from rich.text import Text

    made = output.table("Name", "Other", "Lines")
    output.add(made, HOSTILE, Text(HOSTILE), [HOSTILE, "second"])
    output.show(made)
    output.say(HOSTILE)
    output.say_aside(HOSTILE)
    output.say_text(HOSTILE)
    output.say_command(HOSTILE)
    output.print_json({"name": HOSTILE})
    for stream in (sys.stdout, sys.stderr):
        text = stream.getvalue()
        assert r"\x1b[31m" in text
        assert "[/b][b]" in text
        assert all(c.isprintable() or c == "\n" for c in text)


def test_a_bar_takes_its_words_as_they_are(monkeypatch):
    import pty

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as seen, open(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with output.bars(as_json=False) as made:
            assert made.shown
            made("[/b]\x07", 1, 2)
            made.stage("[b]x", "a\x07b", 1, 2)
        stream.close()
        parts = []
        with suppress(OSError):  # Linux says so where all has been read, and no one writes
            while part := seen.read(1 << 16):
                parts.append(part)
    text = b"".join(parts).decode()
    assert r"[/b]\x07" in text
    assert "[b]x" in text
    assert "\x07" not in text


def test_commands_print_through_output_alone():
    """A `print` elsewhere would let names from data out as they are."""
    folder = Path(output.__file__).parent
    for path in folder.glob("*.py"):
        calls = [
            node.func.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        assert calls.count("print") == (path.name == "output.py")


def googlenet(*arguments, **settings):
    command = [sys.executable, "-m", "googlenet", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, timeout=120, **settings)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["--help"], ["--version"]])
def test_a_full_disk_under_standard_output(words):
    with open("/dev/full", "w") as full:
        done = googlenet(*words, stdout=full)
    assert done.returncode == 2
    assert done.stderr == b"googlenet: standard output: No space left on device\n"


def test_a_full_disk_under_standard_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "googlenet", "summary", "no"], stderr=full, timeout=120
        )
    assert done.returncode != 0


def test_an_ascii_terminal_and_names_that_are_not_utf8(tmp_path):
    settings = {"cwd": tmp_path, "stdout": subprocess.PIPE}
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = googlenet("parity", "--images", b"caf\xe9\x1b[2J\n.png", env=ascii_only, **settings)
    assert done.returncode == 2
    assert done.stderr.startswith(rb"googlenet: caf\xe9\x1b[2J\n.png: does not exist")
    assert done.stderr.count(b"\n") == 1
    done = googlenet("summary", "--size", "96", "--json", env=ascii_only, **settings)
    assert json.loads(done.stdout)["name"] == "googlenet"
    assert done.stdout.isascii()


def test_an_error_with_control_characters_is_one_line(monkeypatch, capsys):
    from googlenet import cli

    def broken(**settings):
        raise DataError(HOSTILE)

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"googlenet: {SHOWN}\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/a\x1bb"), r"/a\x1bb: Permission denied"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (MemoryError(), "there is not enough memory (none is left); ask for less"),
    ],
)
def test_what_no_command_has_foreseen_is_one_line(error, said, monkeypatch, capsys):
    from googlenet import cli

    def broken(**settings):
        raise error

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"googlenet: {said}\n"
