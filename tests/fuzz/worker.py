"""Reads one file after the other, in a process of its own, and says what became of each.

It is told a kind and a path in a line of JSON, and answers with one. It may take no more memory
than `ADDRESS_SPACE`, whatever a reader does.
"""

import hashlib
import json
import os
import resource
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from unittest.mock import patch

from googlenet import GoogLeNetError
from googlenet.data import download as downloads
from googlenet.data.decoding import decode, named_images
from googlenet.data.fetch import Patience
from googlenet.data.prepared import DESCRIPTION, read_prepared, save_data
from googlenet.jobs.job import Answer
from googlenet.proof.parity.run import _result as result_of
from googlenet.training.checkpoint import load_checkpoint
from googlenet.training.loop import read_log
from googlenet.weights.formats import read_weights_file
from googlenet.weights.zoo import graphs, open_weights

from .seeds import BETWEEN, PARTS, SERVED, SETTINGS, TINY, small_set

ADDRESS_SPACE = 8 * 2**30


def _picture(path):
    for source, name in ((source, name) for name, source in named_images(path)):
        decode(source, name)


def _own(path):
    file = read_weights_file(path)
    open_weights(file, None if "network" in file.metadata else "vgg11_small")


def _parts(path, names):
    """The files of a set, which are one file here."""
    with tempfile.TemporaryDirectory() as folder:
        contents = path.read_bytes().split(BETWEEN, len(names) - 1)
        for name, content in zip(names, contents, strict=False):
            (Path(folder) / name).write_bytes(content)
        read_weights_file(Path(folder) / names[0])


def _graph(path):
    file = read_weights_file(path)
    if file.graph is not None:
        with patch.object(graphs, "get_network", lambda name, **sizes: TINY):
            graphs.network_in(file, file.graph, only="tiny")


def _checkpoint(path):
    load_checkpoint(path, TINY, SETTINGS)


def _answer(path):
    answer = Answer.read(path, "numpy")
    if answer.error is not None:
        raise GoogLeNetError(answer.error)
    answer.give(partial(result_of, "numpy", answer, None, False))


def _set(path):
    with tempfile.TemporaryDirectory() as folder:
        save_data(Path(folder), small_set())
        (Path(folder) / DESCRIPTION).write_bytes(path.read_bytes())
        read_prepared(Path(folder), (1, 6, 7))


def _server(path):
    """What a mirror answers, byte by byte, to whoever downloads from it."""
    digest = hashlib.sha256(SERVED).hexdigest()
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        tempfile.TemporaryDirectory() as cache,
    ):
        listening.settimeout(5)

        def serve():
            with suppress(OSError), listening.accept()[0] as connection:
                connection.recv(1 << 16)
                connection.sendall(path.read_bytes())

        thread = threading.Thread(target=serve)
        thread.start()
        settings = {
            "FILES": {"served": (digest, len(SERVED))},
            "MIRRORS": (f"http://127.0.0.1:{listening.getsockname()[1]}/",),
            "TIMEOUT": 1.0,
            "PATIENCE": Patience(window=1.0, longest=3.0),
        }
        environment = {"GOOGLENET_CACHE_DIR": cache}
        try:
            with patch.multiple(downloads, **settings), patch.dict(os.environ, environment):
                found = downloads.download() / "served"
                assert found.read_bytes() == SERVED
        finally:
            listening.close()
            thread.join()


#: How a file is read, by its kind or the first word of it.
READERS = {
    "weights": read_weights_file,
    "pickle": read_weights_file,
    "own": _own,
    **{f"parts {name}": partial(_parts, names=names) for name, names in PARTS.items()},
    "graph": _graph,
    "picture": _picture,
    "array": _picture,
    "IDX": _picture,
    "checkpoint": _checkpoint,
    "log": read_log,
    "answer": _answer,
    "set": _set,
    "server": _server,
}


def reader_of(kind):
    """How a file of `kind` is read."""
    return READERS[kind if kind in READERS else kind.partition(" ")[0]]


# What the harness must find: a reader with each of the faults -------------------------------------


def _escapes(path):
    raise KeyError("planted")


def _dies(path):
    os.abort()


def _two_lines(path):
    raise GoogLeNetError(f"{path}: first\nsecond")


def _hangs(path):
    time.sleep(10**6)


def _takes_too_much(path):
    return bytearray(3 * 10**8)


def _asks_for_too_much(path):
    try:
        bytearray(2**60)
    except MemoryError as error:
        raise GoogLeNetError(f"{path}: refused") from error


def _executes(path):
    os.system("gs")


def _leaves(path):
    Path(path).with_name("left").write_bytes(b"")


PLANTED = {
    "planted escape": _escapes,
    "planted death": _dies,
    "planted line": _two_lines,
    "planted hang": _hangs,
    "planted memory": _takes_too_much,
    "planted request": _asks_for_too_much,
    "planted command": _executes,
    "planted file": _leaves,
}


# The process --------------------------------------------------------------------------------------


def _memory(what):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024
    return 0


def _causes(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def outcome(kind, path):
    """What reading `path` comes to: what escaped if anything did, bytes, seconds."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # from here on, the highest is ours
    before, start = _memory("VmRSS"), time.monotonic()
    escaped, request = None, False
    try:
        read = PLANTED[kind] if kind in PLANTED else reader_of(kind)
        read(Path(path))
    except GoogLeNetError as error:
        request = any(isinstance(each, MemoryError) for each in _causes(error))
        if "\n" in str(error) or len(str(error)) > 4000:
            escaped = f"a message of several lines, or too long: {str(error)[:200]!r}"
    except BaseException as error:
        escaped = f"{type(error).__name__}: {str(error)[:200]}"
    return {
        "escaped": escaped,
        "request": request,
        "bytes": max(0, _memory("VmHWM") - before),
        "seconds": time.monotonic() - start,
    }


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a reader that prints says nothing to whoever asks
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        print(json.dumps(outcome(*json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
