"""The smallest files of each kind that hung a reader, ended its process or filled the memory."""

import gzip
import io
import itertools
import pickle
import struct
import zipfile
import zlib

import h5py
import numpy as np

from .writers import (
    BASE,
    hdf5,
    mindspore_value,
    mxnet_list,
    tensor,
    torch_legacy,
    torch_zip,
    whole,
)
from .writers import packed as msgpack

BUDGET = "bytes=8M,names=500"
"""What these files may become: less than in use, so that they need not be large themselves."""

MANY = 9 * 2**20


def packed(name, method, content=b"", size=MANY):
    """A zip archive whose one member is `content` and then zeros, `size` bytes in all."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive, archive.open(name, "w") as member:
        member.write(content)
        for _ in range(size >> 20):
            member.write(bytes(2**20))
    return stream.getvalue()


def npy_header(shape):
    stream = io.BytesIO()
    descr = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, descr)
    return stream.getvalue()


def bomb(name, method):
    return packed(name, method, npy_header((MANY,)))


def lying_member():
    """An archive that says that its member has 200 bytes, where it has many."""
    data = bytearray(packed("w.npy", zipfile.ZIP_DEFLATED, npy_header((72,))))
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = data.index(mark) + place
        data[at : at + 4] = struct.pack("<I", 200)
    return bytes(data)


def many_members():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for index in range(501):
            archive.writestr(f"{index}.npy", b"")
    return stream.getvalue()


def keyed(key):
    """A pickle of a dictionary with one key, in opcodes."""
    return b"\x80\x02}" + key + b"Ns."


def nested(count):
    return b"\x80\x02}X\1\0\0\0w" + b"N" + b"\x85" * count + b"s."


def header(text, size=4):
    return struct.pack("<Q", len(text)) + text + bytes(size)


def entry(shape, end):
    return b'{"w":{"dtype":"F32","shape":%s,"data_offsets":[0,%d]}}' % (shape, end)


def legacy_layers(file):
    """60,000 names of one layer, which has 60,000 names of one array."""
    group = file.create_group("d")
    group["w"] = BASE
    for owner, attribute, name in ((file, "layer_names", b"d"), (group, "weight_names", b"w")):
        for part in range(2):
            owner.attrs[f"{attribute}{part}"] = np.array([name] * 30_000)


def circle(file):
    group = file.create_group("layers/a")
    group["b"] = group


def doubling(file):
    """Two links at each of 30 levels: a billion paths to one array."""
    group = file.create_group("layers")
    for _ in range(30):
        inner = group.create_group("x")
        group["y"] = inner
        group = inner
    group.create_group("vars")["0"] = BASE


def one_dataset(shape, **options):
    def fill(file):
        file.create_dataset("layers/dense/vars/0", shape, "f4", **options)

    return fill


def bursting_chunk(file):
    """A chunk for 400,000 bytes that unpacks to many more."""
    dataset = file.create_dataset(
        "layers/dense/vars/0", (10**5,), "f4", chunks=(10**5,), compression="gzip"
    )
    packer = zlib.compressobj(9)
    content = b"".join(packer.compress(bytes(2**20)) for _ in range(10)) + packer.flush()
    dataset.id.write_direct_chunk((0,), content)


def many_links(file):
    group = file.create_group("layers/dense/vars")
    group["0"] = np.zeros(10**4, np.float32)
    for index in range(1, 300):
        group[str(index)] = group["0"]


def damaged_heap():
    """Free space of no bytes behind the names of layers: the library goes round it for ever."""

    def fill(file):
        file.attrs["layer_names"] = ["d"]

    data = hdf5(fill)
    place = data.index(b"GCOL") + 16
    place += 24  # past "d", to what is free
    return data[: place + 8] + bytes(8) + data[place + 16 :]


def free_list(links):
    """A heap of names whose free space is the list `links`, of places in it."""

    def fill(file):
        file["layers/dense/vars/0"] = BASE

    data = bytearray(hdf5(fill))
    place = data.index(b"HEAP")
    names = struct.unpack_from("<Q", data, place + 24)[0]
    struct.pack_into("<Q", data, place + 16, links[0])
    for here, following in itertools.pairwise(links):
        struct.pack_into("<QQ", data, names + here, following, 16)
    return bytes(data)


def one_text(count):
    """Names of `count` layers, all of which are one long text."""

    def fill(file):
        file.attrs["layer_names"] = ["x" * 20_000] + ["d"] * (count - 1)

    data = bytearray(hdf5(fill))
    long = struct.pack("<I", 20_000)
    place = data.index(long)
    while data[(heap := struct.unpack_from("<Q", data, place + 4)[0]) :][:4] != b"GCOL" or not heap:
        place = data.index(long, place + 1)
    data[place : place + 16 * count] = data[place : place + 16] * count
    return bytes(data)


def text_of_arrays(count):
    """Arrays whose values are one text, as Python 2 wrote them."""

    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"\x85R"
    arrays = b"".join(
        text(b"n%d" % index)
        + b"cnumpy.core.multiarray\n_reconstruct\n)R(K\1J\0\0\1\0\x85"
        + dtype
        + b"\x89"
        + (b"h\1" if index else text(bytes(2**16)) + b"q\1")
        + b"tb"
        for index in range(count)
    )
    return b"\x80\2}(" + arrays + b"u."


def long_reference(count):
    """A reference to a storage whose kind is `count` times one text, which an error would quote."""
    text = b"X\0\0\1\0" + bytes(2**16) + b"q\1"
    return torch_zip(b"\x80\2((" + text + b"h\1" * count + b"lNNNNtQ.", {})


def device(file):
    """A link that HDF5 would open to know whether there is something."""
    file["model_weights"] = h5py.ExternalLink("/dev/zero", "/")


_BIG = np.zeros(10**4, np.float32)
_VIEWS = {f"w{index}": tensor("0", "Float", 1, 0, (2**24,), (0,)) for index in range(5)}
_SHARED = {f"w{index}": whole("0", _BIG) for index in range(300)}

#: What is made → what is said of it.
_AXES = msgpack(((1,) * 80_000, "float32", bytes(4)))
"""What Flax writes of an array, with too many axes."""

HOSTILE = {
    "bzip2 .npz": (lambda: bomb("w.npy", zipfile.ZIP_BZIP2), "packed with bzip2"),
    "bzip2 .pth": (lambda: packed("a/data.pkl", zipfile.ZIP_BZIP2), "packed with bzip2"),
    "bzip2 .keras": (lambda: packed("model.weights.h5", zipfile.ZIP_BZIP2), "packed with bzip2"),
    "deflate .npz": (lambda: bomb("w.npy", zipfile.ZIP_DEFLATED), "bytes=1G"),
    "deflate .pth": (lambda: packed("a/data.pkl", zipfile.ZIP_DEFLATED), "bytes=1G"),
    "deflate .keras": (lambda: packed("model.weights.h5", zipfile.ZIP_DEFLATED), "bytes=1G"),
    "lying member": (lying_member, "cannot be read as a complete NumPy archive"),
    "many members": (many_members, "names=1000"),
    "views": (lambda: torch_zip(_VIEWS, {"0": bytes(4)}), "bytes=1G"),
    "old views": (lambda: torch_legacy(_VIEWS, {"0": (1, bytes(4))}), "bytes=1G"),
    "one storage": (lambda: torch_zip(_SHARED, {"0": _BIG.tobytes()}), "bytes=1G"),
    "one array": (lambda: pickle.dumps(dict.fromkeys(_SHARED, _BIG), 4), "bytes=1G"),
    "two dtypes": (
        lambda: torch_zip(
            {"a": whole("0", BASE), "b": tensor("0", "Int", 60, 0, (3,), (1,))},
            {"0": BASE.tobytes()},
        ),
        "with two dtypes",
    ),
    # Whoever hashes, compares or prints such a value visits 2^60 of them.
    "key of pairs": (lambda: keyed(b"N" + b"2\x86" * 60), "objects, expected at most"),
    "key of pairs in a table": (
        lambda: keyed(b"N" + b"".join(b"q\0h\0\x86" for _ in range(60))),
        "objects, expected at most",
    ),
    "storage of pairs": (
        lambda: torch_zip(b"\x80\x02}X\1\0\0\0wN" + b"2\x86" * 60 + b"Qs.", {}),
        "objects, expected at most",
    ),
    "tuple as key": (lambda: keyed(b"N\x85"), "a key that is not text or a number"),
    "number as name": (lambda: pickle.dumps({7: BASE}, 4), "expected arrays by name"),
    # Freeing it would end the process.
    "nested": (lambda: nested(300_000), "objects nested 65 deep"),
    "nested .pth": (lambda: torch_zip(nested(300_000), {}), "objects nested 65 deep"),
    "nested lists": (lambda: b"(lp0\n" + b"]" * 9 + b"(" * 300_000 + b"l" * 300_000 + b".", "deep"),
    "circle": (lambda: b"\x80\x02]q\0h\0a.", "puts a value into itself"),
    "late circle": (lambda: b"\x80\x02]q\0]q\1h\0ah\0h\1a.", "already part of another"),
    "set": (lambda: b"\x80\x04\x8f(N\x85\x90.", "a set of what is not text or a number"),
    "long number": (lambda: keyed(b"\x8a\xff" + bytes(254) + b"\1"), "number of"),
    "copied text": (
        lambda: (
            b"\x80\x02}X\1\0\0\0w("
            + b"c_codecs\nencode\nq\0B\0\0\x20\0"
            + bytes(2**21)
            + b"q\1\x85q\2R"
            + b"h\0h\2R" * 200
            + b"ts."
        ),
        "bytes=1G",
    ),
    "axes .ckpt": (
        lambda: mindspore_value("w", (2,) * 80_000, "Float32", b""),
        "an array of 33 axes",
    ),
    "axes .params": (
        lambda: mxnet_list([struct.pack("<Iii", 0xF993FACA, 0, 80_000) + bytes(640_000)], ["w"]),
        "80000 axes",
    ),
    "axes .safetensors": (
        lambda: header(entry(b"[" + b"1," * 79_999 + b"1]", 4)),
        "an array of 80000 axes",
    ),
    "axes .npz": (
        lambda: packed("w.npy", 0, b"\x93NUMPY\1\0\x10\x27" + (b"(" * 10_000), 0),
        "header",
    ),
    "nested .safetensors": (
        lambda: header(b'{"__metadata__":' + b"[" * 9**5 + b"]" * 9**5 + b"}"),
        "objects nested 65 deep",
    ),
    "claimed .safetensors": (lambda: header(entry(b"[1073741824]", 2**32)), "bytes=4G"),
    "legacy layers": (lambda: hdf5(legacy_layers), "names of arrays and groups"),
    "circle .h5": (lambda: hdf5(circle), "a group that has another name too"),
    "doubling .h5": (lambda: hdf5(doubling), "a group that has another name too"),
    "fill value .h5": (lambda: hdf5(one_dataset((60_000, 60_000), fillvalue=1)), "stores 0"),
    "wide chunk .h5": (
        lambda: hdf5(one_dataset((9,), maxshape=(None,), chunks=(2**29,), compression="gzip")),
        "bytes=",
    ),
    "bursting chunk .h5": (lambda: hdf5(bursting_chunk), "a chunk that unpacks to more than"),
    "filter .h5": (
        lambda: hdf5(one_dataset((9,), chunks=(9,), compression="lzf")),
        "by the filters [32000]",
    ),
    "links .h5": (lambda: hdf5(many_links), "bytes=1G"),
    "damaged heap .h5": (damaged_heap, "a damaged heap"),
    "free list .h5": (lambda: free_list([16, 16]), "a damaged heap"),
    "longer free list .h5": (lambda: free_list([16, 48, 32, 16]), "a damaged heap"),
    "free list outside .h5": (lambda: free_list([2**40]), "a damaged heap"),
    "one text .h5": (lambda: one_text(5), "a name of 20000 characters"),
    "one long text .h5": (lambda: one_text(400), "bytes=1G"),
    "text of arrays": (lambda: text_of_arrays(300), "bytes=1G"),
    "long reference": (lambda: long_reference(300), "bytes=1G"),
    "device .h5": (lambda: hdf5(device), "is a link"),
    "nested .msgpack": (lambda: b"\x81\xa1a" * 9**5 + b"\x80", "objects nested 65 deep"),
    "claimed .msgpack": (lambda: b"\x81\xa1a\xdf\xff\xff\xff\xff\xa1b", "objects expected"),
    "many names .msgpack": (
        lambda: msgpack({"params": {str(index): BASE for index in range(501)}}),
        "names=1000",
    ),
    "many values .msgpack": (
        lambda: b"\x81\xa1a\x81\xa1b\xdd\0\x1e\x84\x81" + b"\xc0" * 2_000_001,
        "objects, expected at most",
    ),
    "axes .msgpack": (
        lambda: b"\x81\xa1a\xc9" + struct.pack(">I", len(_AXES)) + b"\x01" + _AXES,
        "an array of 80000 axes",
    ),
    "not a picture": (lambda: gzip.compress(b"x"), "is a gzip archive; unpack it first"),
}
