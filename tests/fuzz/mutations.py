"""Files made from whole ones: bytes changed as damage would, and as an attacker would who repairs
sums and lengths afterwards; and pickles as programs of any opcodes.
"""

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from contextlib import suppress

import h5py
import numpy as np

from ..core.formats.writers import emit, pickled, torch_legacy, torch_zip
from .seeds import any_seed, seeds

_NUMBERS = (0, 1, 2, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**40, 2**62, 2**63 - 1)
_WORDS = (
    "[" * 500,
    "{}",
    "null",
    "-1",
    "1e999",
    "true",
    '""',
    "9" * 5000,
    "60000",
    "NaN",
    "\\u0000",
)


# Bytes --------------------------------------------------------------------------------------------


def damage(rng, data):
    """`data` with one to four changes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        end = min(len(changed), at + rng.randint(1, 64))
        match rng.randrange(8):
            case 0 if changed:
                for _ in range(rng.randint(1, 8)):
                    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                other = any_seed(rng)
                start = rng.randrange(len(other))
                changed[at:end] = other[start : start + rng.randint(1, 200)]
            case 3:
                changed[at:at] = changed[at:end] * rng.randint(1, 50)
            case 4:
                changed[at:end] = bytes(end - at)
            case 5 | 6:
                size, number = rng.choice((1, 2, 4, 8)), rng.choice(_NUMBERS)
                order = rng.choice(("little", "big"))
                packed = (number % 256**size).to_bytes(size, order)
                at = rng.randrange(min(len(changed) + 1, rng.choice((32, 512, 2**30))))
                changed[at : at + size] = packed
            case _:
                del changed[at:end]
    return bytes(changed)


def reworded(rng, text):
    """`text` of JSON or Python with some of its numbers, words and signs exchanged."""
    parts = re.split(r'(\d+|"[^"]*"|[\[\]{}:,()])', text)
    for _ in range(rng.randint(1, 3)):
        index = rng.randrange(len(parts))
        parts[index] = rng.choice((*_WORDS, rng.choice(parts), str(rng.choice(_NUMBERS)), ""))
    return "".join(parts)


# Formats, with sums and lengths repaired ----------------------------------------------------------


def reworded_bytes(rng, data):
    """The same of text in UTF-8."""
    return reworded(rng, data.decode()).encode()


def repaired_zip(rng, data):
    """The archive with one member damaged or repeated, packed in another way."""
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before:
        names = before.namelist()
        chosen = rng.choice(names)
        with zipfile.ZipFile(stream, "w", rng.choice(methods)) as after:
            for name in names:
                content = before.read(name)
                if name == chosen:
                    is_array = content.startswith(b"\x93NUMPY")
                    content = (repaired_npy if is_array else damage)(rng, content)
                    content += bytes(rng.choice((0, 0, 0, 10**6)))
                after.writestr(name, content)
    return stream.getvalue()


def repaired_npy(rng, data):
    """The array with another header of the right length."""
    size = int.from_bytes(data[8:10], "little")
    header = reworded(rng, data[10 : 10 + size].decode("latin1")).encode("latin1", "replace")
    return data[:8] + struct.pack("<H", len(header) % 65536) + header + data[10 + size :]


def repaired_safetensors(rng, data):
    """The file with another header of the right length."""
    size = int.from_bytes(data[:8], "little")
    header = reworded(rng, data[8 : 8 + size].decode()).encode()
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


def repaired_metadata(rng, data):
    """The checkpoint with other settings or another position, in well-formed JSON around them."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    key = rng.choice(list(header["__metadata__"]))
    header["__metadata__"][key] = reworded(rng, header["__metadata__"][key])
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def repaired_png(rng, data):
    """The picture with one chunk damaged, and its sum made right."""
    if not data.startswith(b"\x89PNG"):
        return damage(rng, data)
    chunks, position = [], 8
    while position < len(data):
        (size,) = struct.unpack_from(">I", data, position)
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + size]))
        position += size + 12
    index = rng.randrange(len(chunks))
    kind, content = chunks[index]
    if kind == b"IDAT" and rng.random() < 0.5:
        content = zlib.compress(damage(rng, zlib.decompress(content)))
    else:
        content = damage(rng, content)
    chunks[index] = kind, content
    if rng.random() < 0.2:
        chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
    packed = (
        struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks
    )
    return data[:8] + b"".join(packed)


def repaired_idx(rng, data):
    """The file damaged before it is packed, or followed by much more."""
    inner = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    return gzip.compress(damage(rng, inner) + bytes(rng.choice((0, 0, 10**7))), 1)


def drawn_hdf5(rng, data):
    """A tree of groups, links and datasets as no framework writes it."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        groups = [file]
        names = ["layers", "vars", "dense", "conv2d", "0", "1", "model_weights", "d"]
        for _ in range(rng.randint(1, 25)):
            group, name = rng.choice(groups), rng.choice(names)
            if name in group.keys():  # noqa: SIM118  (`in group` would follow a link)
                continue
            match rng.randrange(9):
                case 0 | 1 | 2:
                    groups.append(group.create_group(name))
                case 3:
                    group[name] = rng.choice(groups)
                case 4:
                    target = rng.choice(("/", "/layers", ".", "/dev/zero"))
                    links = (h5py.SoftLink(target), h5py.ExternalLink("/dev/zero", target))
                    group[name] = rng.choice(links)
                case 5:
                    shape = tuple(rng.choice((1, 3, 60_000)) for _ in range(rng.randint(0, 3)))
                    packing = rng.choice((None, "gzip", "lzf")) if shape else None
                    group.create_dataset(
                        name, shape, rng.choice(("f4", "f8", "i1", "S9", "V2")), compression=packing
                    )
                case 6:
                    kinds = (np.ones(3), np.array(b"text"), ["a", "b"], np.float32(1))
                    group[name] = rng.choice(kinds)
                case 7:
                    attributes = ("layer_names", "weight_names", "layer_names0", "name")
                    group.attrs[rng.choice(attributes)] = rng.choice(
                        (["d", "d/0", "..", ""], ["d"] * 500, 3, "d", [b"\xff"], np.ones((2, 2)))
                    )
                case _:
                    values = np.zeros(5000, np.float32)
                    dataset = group.create_dataset(name, data=values, chunks=(500,), compression=1)
                    packed = zlib.compress(bytes(rng.choice((10, 2000, 10**6, 10**8))), 1)
                    dataset.id.write_direct_chunk((0,), packed)
    return stream.getvalue()


def rewired(rng, data):
    """An ONNX graph whose operations take and give other values of it, or do something else: names
    exchanged with others of the same length, so that all lengths stay right.
    """
    changed = bytearray(data)
    names = list(re.finditer(rb"[A-Z][A-Za-z]{2,}(?:_\d+)?|onnx::Conv_\d+|images", data))
    for _ in range(rng.randint(1, 6)):
        one = rng.choice(names)
        alike = [each[0] for each in names if len(each[0]) == len(one[0])]
        changed[one.start() : one.end()] = rng.choice(alike)
    return bytes(changed)


# Pickles ------------------------------------------------------------------------------------------

#: Names that a pickle may ask for, and those of an attack.
_ALLOWED = (
    *("collections\nOrderedDict", "torch._utils\n_rebuild_tensor_v2", "torch\nFloatStorage"),
    *("torch._utils\n_rebuild_parameter", "torch\nSize", "numpy.core.multiarray\n_reconstruct"),
    *("numpy\ndtype", "numpy\nndarray", "numpy.core.multiarray\nscalar", "_codecs\nencode"),
    *("argparse\nNamespace", "builtins\nset", "builtins\ntuple", "collections\ndefaultdict"),
    *("pathlib\nPosixPath", "torch\ndevice", "copyreg\n_reconstructor", "builtins\nbytes"),
)
_FORBIDDEN = ("os\nsystem", "builtins\neval", "subprocess\nPopen", "builtins\ngetattr")


def _opcode(rng, canary):
    name = rng.choice(_ALLOWED) if rng.random() < 0.97 else rng.choice(_FORBIDDEN)
    command = f"touch {canary}"
    entry = bytes([rng.randrange(6)])
    return rng.choice(
        (
            *(b"}", b"]", b")", b"N", b"\x88", b"(", b"2", b"0", b"1", b"\x8f", b"\x94"),
            *(b"\x85", b"\x86", b"\x87", b"t", b"l", b"d", b"s", b"u", b"a", b"e"),
            *(b"R", b"b", b"\x81", b"o", b"Q", b"\x90", b"\x91", b"\x92", b"\x93"),
            *(b"q" + entry, b"h" + entry, b"c" + name.encode() + b"\n"),
            *(b"i" + name.encode() + b"\n", emit(command), emit("w"), emit(rng.choice(_NUMBERS))),
            *(b"r" + struct.pack("<I", rng.choice(_NUMBERS) % 2**32), emit((1, 2)), emit({"a": 1})),
            *(b"\x86" * 40, b"2\x86" * 40, b"B\xff\xff\xff\x7fa", b"\x82\x01", b"\x97", b"\x98"),
            b"\x8b" + struct.pack("<i", 2000) + bytes(1999) + b"\x01",
        )
    )


def program(rng, canary):
    """A pickle of any opcodes, bare or as PyTorch's, that ends as one should."""
    count = rng.choice((5, 30, 200))
    code = b"}" * rng.randrange(2) + b"".join(_opcode(rng, canary) for _ in range(count))
    code = rng.choice((b"\x80\x02", b"\x80\x04", b"")) + code + b"."
    match rng.randrange(4):
        case 0:
            return torch_zip(code, {"0": bytes(240)})
        case 1:
            return torch_legacy(code, {"0": (60, bytes(240))})
    return code


def attack(rng, canary):
    """A pickle that runs a command when it is unpickled."""
    call = b"cos\nsystem\n" + emit((f"touch {canary}",)) + b"R"
    whole = pickled({"w": 1}).replace(emit(1), call)
    return rng.choice((whole, torch_zip(whole, {}), torch_legacy(whole, {}), b"(" + call + b"l."))


def postscript(rng, canary):
    """A program for Ghostscript, called a picture."""
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


# Everything ---------------------------------------------------------------------------------------

_REPAIRED = {
    "weights PyTorch checkpoint": repaired_zip,
    "weights Keras 3 model": repaired_zip,
    "weights NumPy archive": repaired_zip,
    "weights safetensors file": repaired_safetensors,
    "weights Keras 3 weights": drawn_hdf5,
    "weights Keras legacy weights": drawn_hdf5,
    "graph": rewired,
    "parts TensorFlow.js": reworded_bytes,
    "own weights": repaired_metadata,
    "picture": repaired_png,
    "array": repaired_npy,
    "IDX": repaired_idx,
    "checkpoint": repaired_metadata,
    **dict.fromkeys(("log", "answer", "set", "server"), reworded_bytes),
}
KINDS = (*seeds(), "pickle")


def draw(rng, kind, canary):
    """One hostile file of `kind`."""
    if kind == "pickle":
        return (attack if rng.random() < 0.1 else program)(rng, canary)
    if kind == "picture" and rng.random() < 0.02:
        return postscript(rng, canary)
    seed = rng.choice(seeds()[kind])
    if kind in _REPAIRED and rng.random() < 0.5:
        # The libraries refuse to write some of what is drawn, each in its own way.
        with suppress(Exception):
            return _REPAIRED[kind](rng, seed)
    return damage(rng, seed)
