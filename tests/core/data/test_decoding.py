"""Every kind of source, decoded once; what is not an image, and what was made to harm, is refused
by its name in one line.
"""

import gzip
import math
import os
import re
import struct
import sys
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from googlenet.data.decoding import decode, find_images, image_files, map_npy, named_images
from googlenet.errors import DataError

from .helpers import idx, pixels

PIXELS = pixels(5, height=28, width=20)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def write(path, data):
    path.write_bytes(data)
    return path


def save(path, array):
    np.save(path, array, allow_pickle=True)
    return path


def decoded(path):
    return [decode(source, name) for name, source in named_images(path)]


def refusal(path):
    """What is said of `path`, in one line that begins with its name."""
    with pytest.raises(DataError) as caught:
        decoded(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


# What is read -------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path, packed):
    data = idx(PIXELS)
    path = write(tmp_path / "some-images", gzip.compress(data) if packed else data)
    found = find_images(path)
    assert (found.dtype, found.shape) == (np.uint8, PIXELS.shape)
    assert np.array_equal(found, PIXELS)


@pytest.mark.parametrize("suffix", ["png", "PNG", ""])
def test_png_by_its_suffix_or_its_first_bytes(tmp_path, suffix):
    file = BytesIO()
    Image.fromarray(COLOUR).save(file, "PNG")
    (found,) = decoded(write(tmp_path / f"image.{suffix}", file.getvalue()))
    assert np.array_equal(found, COLOUR)


def test_jpeg_by_its_first_bytes(tmp_path):
    file = BytesIO()
    Image.fromarray(COLOUR).save(file, "JPEG")
    (found,) = decoded(write(tmp_path / "image", file.getvalue()))
    assert np.array_equal(found, np.asarray(Image.open(file)))


def test_grey_is_two_axes_and_all_else_three(tmp_path):
    colour = Image.fromarray(np.uint8([[[255, 0, 0], [0, 0, 255]]]))
    colour.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    colour.convert("RGBA").save(tmp_path / "alpha.png")
    for name in ("palette.png", "alpha.png"):
        assert decode(tmp_path / name).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    Image.fromarray(PIXELS[0]).save(tmp_path / "grey.png")
    assert np.array_equal(decode(tmp_path / "grey.png"), PIXELS[0])
    Image.fromarray(PIXELS[0] > 99).save(tmp_path / "bits.png")
    assert np.array_equal(decode(tmp_path / "bits.png"), np.where(PIXELS[0] > 99, 255, 0))


def test_sixteen_bits_of_grey_become_eight(tmp_path):
    wide = np.arange(0, 65536, 97, np.uint16).reshape(26, 26)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert np.array_equal(decode(tmp_path / "wide.png"), np.rint(wide / 257))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">u2", "<f4", ">f8", "<f2"])
def test_npy(tmp_path, dtype, order):
    array = np.asarray(PIXELS / 255 if dtype[1] == "f" else PIXELS).astype(dtype, order=order)
    for stored in (array, array[:, None]):
        found = decoded(save(tmp_path / "x.npy", stored))
        assert {image.dtype for image in found} == {
            np.dtype(np.float32 if dtype[1] == "f" else np.uint8)
        }
        assert np.array_equal(found, array.astype(np.float32 if dtype[1] == "f" else np.uint8))


def test_npy_of_colour(tmp_path):
    (found,) = decoded(save(tmp_path / "x.npy", COLOUR.transpose(2, 0, 1)[None]))
    assert np.array_equal(found, COLOUR)


def test_folders_are_searched_but_not_for_what_a_mac_leaves(tmp_path):
    for name in ("b.png", "a.JPG", "c.png/d.jpeg", ".hidden/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (3, 3)).save(tmp_path / name)
    for name in ("._b.png", "notes.txt"):
        (tmp_path / name).write_text("not an image")
    assert find_images(tmp_path) == [tmp_path / name for name in ("a.JPG", "b.png", "c.png/d.jpeg")]
    assert image_files(tmp_path) == [tmp_path / name for name in ("a.JPG", "b.png")]


def test_folders_in_folders_are_searched_as_deep_as_the_budget_allows(tmp_path, monkeypatch):
    """Python's own stack has no part in it; links to folders are not followed."""
    place = tmp_path
    for _ in range(64):
        place = place / "a"
        place.mkdir()
    (place / "deepest.png").write_bytes(b"")
    (place / "loop").symlink_to(tmp_path)
    assert find_images(tmp_path) == [place / "deepest.png"]
    (place / "b").mkdir()
    with pytest.raises(DataError, match="asks for objects nested 65 deep, expected at most 64"):
        find_images(tmp_path)
    monkeypatch.setenv("GOOGLENET_BUDGET", "depth=130")
    assert find_images(tmp_path) == [place / "deepest.png"]


# What is refused ----------------------------------------------------------------------------------


def png():
    file = BytesIO()
    Image.fromarray(PIXELS[0]).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "none.png", ": does not exist; give an IDX file, a folder, a PNG or JPEG"),
        (lambda d: write(d / "empty.png", b""), ": is empty"),
        (lambda d: write(d / "text.png", b"hello"), ": is not a readable image (it is neither PNG"),
        (lambda d: write(d / "cut.png", png()[:100]), ": is not a readable image"),
        (lambda d: write(d / "notes.txt", b"hello, this is text"), ": is not an IDX file of bytes"),
        (
            lambda d: write(d / "cut-images", idx(PIXELS)[:-1]),
            ": is truncated or damaged: its header says 2800 bytes, but it holds 2799",
        ),
        (lambda d: write(d / "zero-images", idx(PIXELS[:0])), ": is empty"),
        (lambda d: write(d / "x.gz", gzip.compress(idx(PIXELS))[:-20]), ": is truncated"),
        (lambda d: d, ": holds no PNG or JPEG image"),
        (
            lambda d: save(d / "x.npy", np.zeros((2, 2))),
            ": expected numbers of shape (N, H, W) or (N, C, H, W), got (2, 2)",
        ),
        (
            lambda d: save(d / "x.npy", np.full((1, 2, 2), 7.0)),
            ": floating-point images must be finite and in [0, 1], got 7 to 7",
        ),
        (
            lambda d: save(d / "x.npy", np.full((1, 2, 2), np.nan)),
            ": floating-point images must be finite",
        ),
        (
            lambda d: save(d / "x.npy", np.array([[[0.5, np.inf]]])),
            ": floating-point images must be finite",
        ),
        (
            lambda d: save(d / "x.npy", np.full((1, 2, 2), 256)),
            ": integer images must have values from 0 to 255, got 256 to 256",
        ),
        (
            lambda d: save(d / "x.npy", np.full((2, 2, 2), -1)),
            "[0]: integer images must have values from 0 to 255, got -1 to -1",
        ),
        (
            lambda d: save(d / "x.npy", np.zeros((2, 5, 2, 2))),
            ": expected 1 or 3 channels on axis 1",
        ),
        (
            lambda d: save(d / "x.npy", np.array([object()])),
            ": is not a complete .npy array of numb",
        ),
        (
            lambda d: save(d / "x.npy", np.zeros((0, 3, 3))),
            ": is not a complete .npy array of numb",
        ),
        (lambda d: save(d / "x.npy", np.array(["text"])), ": is not a complete .npy array of numb"),
        (lambda d: write(d / "cut.npy", b"\x93NUMPY"), ": is not a complete .npy array of numbers"),
    ],
)
def test_what_is_not_an_image_is_refused(tmp_path, make, message):
    assert refusal(make(tmp_path)).startswith(message)


@pytest.mark.skipif(os.geteuid() == 0 or sys.platform == "win32", reason="needs permissions")
def test_a_file_that_may_not_be_read(tmp_path):
    for name in ("a.png", "images", "x.npy"):
        path = write(tmp_path / name, b"x")
        path.chmod(0)
        assert refusal(path) == ": cannot be read (Permission denied)"


def test_a_link_to_nothing_in_a_folder_is_named(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"a\.png: cannot be read \(No such file or directory\)"):
        decoded(tmp_path)


def test_a_pickle_is_not_opened(tmp_path):
    """np.load would run what a pickle says."""
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (marker.touch, ())

    refusal(save(tmp_path / "x.npy", np.array([Evil()], object)))
    assert not marker.exists()


# What was made to harm ----------------------------------------------------------------------------


def chunk(kind, data, *, length=None):
    size = len(data) if length is None else length
    return struct.pack(">I", size) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width, height, *chunks, depth=8, colour=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def image_data(height, row_bytes):
    return zlib.compress(bytes(height * (1 + row_bytes)))


def npy_of(header):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


NPY = b"{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"

HARMFUL = {
    # A palette of colours is said, and none is given.
    "no palette.png": png_of(
        20,
        24,
        chunk(b"tRNS", b"\xff\xff\xff\0"),
        chunk(b"IDAT", image_data(24, 10)),
        depth=4,
        colour=3,
    ),
    # A SyntaxError: after a length that is too short, pixels are read as the next chunk's name.
    "short chunk.png": png_of(
        20, 24, chunk(b"IDAT", zlib.compress(24 * (b"\0" + 60 * b"\xfe"), 0), length=500), colour=2
    ),
    # Pillow would start Ghostscript.
    "postscript.png": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    ),
    # More than a file of this size may become.
    "many pixels.png": png_of(10_000, 10_000, chunk(b"IDAT", image_data(1, 1))),
    "more pixels.png": png_of(65_535, 65_535, chunk(b"IDAT", image_data(1, 1))),
    # Headers that claim what the file does not hold.
    "claims-images": b"\0\0\x08\x03" + struct.pack(">III", 2**31, 28, 28) + bytes(100),
    "claims-images.gz": gzip.compress(
        b"\0\0\x08\x03" + struct.pack(">III", 2**31, 28, 28) + bytes(100)
    ),
    "claims most-images": b"\0\0\x08\x03" + b"\xff" * 12 + bytes(100),
    "claims.npy": npy_of(NPY % b"(1099511627776, 28, 28)") + bytes(100),
    "overflows.npy": npy_of(NPY % b"(4294967296, 4294967296, 4294967296)") + bytes(100),
    "negative.npy": npy_of(NPY % b"(-4, -5, 5)") + bytes(400),
    # numpy's reader lets out a TokenError, a SyntaxError and what else its parser stumbles over.
    "token.npy": npy_of(b"(\n"),
    "syntax.npy": npy_of(b"{'descr': '<f4' 3"),
    "nested.npy": npy_of(b"(" * 9000),
    "dtype.npy": npy_of(NPY.replace(b"'<f4'", b"'<z9'") % b"(3,)"),
    "no dictionary.npy": npy_of(b"[1, 2]"),
    "version.npy": b"\x93NUMPY\x09\x00" + bytes(100),
    # A bomb: more follows than the header says.
    "bomb-images.gz": gzip.compress(idx(np.zeros((1, 2, 2), np.uint8)) + bytes(1 << 25)),
}


#: What is said of some, so that they are refused for what they are.
SAID = {
    "no palette.png": "(a pixel has colour 0 of a palette of 0)",
    "short chunk.png": "(broken PNG file",
    "postscript.png": "(it is neither PNG nor JPEG)",
    "many pixels.png": "asks for 300.0 MB of memory, expected at most 268.4 MB",
    "more pixels.png": "asks for 12.9 GB of memory, expected at most 268.4 MB",
    "claims-images": "its header says 1683627180032 bytes, but it holds 100",
    "claims-images.gz": "its header says 1683627180032 bytes, more than its",
    "claims.npy": "its header says 3448068464705536 bytes, but it holds 100",
    "negative.npy": "its shape is (-4, -5, 5)",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_what_was_made_to_harm_is_refused_in_one_line_and_little_memory(tmp_path, name):
    path = write(tmp_path / name, HARMFUL[name])
    decoded(save(tmp_path / "first.npy", PIXELS))  # what is imported now does not count below
    Image.init()
    tracemalloc.start()
    try:
        message = refusal(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert SAID.get(name, "") in message
    assert peak < 1 << 23


def test_a_gzip_is_read_no_further_than_its_header_says(tmp_path, monkeypatch):
    path = write(tmp_path / "bomb-images.gz", HARMFUL["bomb-images.gz"])
    taken = []
    read = gzip.GzipFile.read

    def counted(self, size=-1):
        taken.append(len(data := read(self, size)))
        return data

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    assert refusal(path).startswith(
        ": is truncated or damaged: its header says 4 bytes, but it holds more"
    )
    assert sum(taken) == 16 + 4 + 1


def test_a_mapped_array_is_the_array(tmp_path):
    for array in (np.arange(24).reshape(2, 3, 4), np.asfortranarray(PIXELS), np.float32(3)):
        found = map_npy(save(tmp_path / "x.npy", array))
        assert isinstance(found, np.memmap)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert np.array_equal(found, array)
        assert math.prod(array.shape) == found.size


def test_what_is_not_a_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for path in (tmp_path, tmp_path / "a.png", "/dev/zero"):
        with pytest.raises(DataError, match=r": .*is a (device|pipe)"):
            decoded(Path(path))


def test_one_image_of_an_array_is_within_the_budget(tmp_path):
    """The file is mapped, and may be nothing but a hole."""
    path = write(tmp_path / "x.npy", npy_of(NPY.replace(b"<f4", b"|u1") % b"(1, 60000, 60000)"))
    with path.open("r+b") as file:
        file.truncate(2**32)
    assert refusal(path).startswith(": asks for 14.4 GB of memory, expected at most 4.3 GB")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_are_read_right(tmp_path, bits):
    colours = np.array([[10, 20, 30], [200, 100, 50]], np.uint8)
    indices = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    picture = Image.fromarray(indices, "L").convert("P")
    picture.putpalette(colours.tobytes())
    picture.putdata(indices.ravel().tolist())
    picture.save(tmp_path / "x.png", bits=bits, transparency=0)
    assert np.array_equal(decode(tmp_path / "x.png"), colours[indices])


def test_a_pixel_without_a_colour_in_its_palette_is_refused(tmp_path):
    pixel = chunk(b"IDAT", zlib.compress(b"\0\5"))
    path = write(
        tmp_path / "x.png", png_of(1, 1, chunk(b"PLTE", bytes(6)), pixel, depth=8, colour=3)
    )
    assert refusal(path) == ": is not a readable image (a pixel has colour 5 of a palette of 2)"


def test_a_large_picture_is_read_if_its_user_says_so(tmp_path, monkeypatch):
    Image.new("1", (60, 50)).save(tmp_path / "x.png")
    monkeypatch.setenv("GOOGLENET_BUDGET", "bytes=8K")
    assert refusal(tmp_path / "x.png").startswith(
        ": asks for 9000 bytes of memory, expected at most"
    )
    monkeypatch.setenv("GOOGLENET_BUDGET", "bytes=9K")
    assert decode(tmp_path / "x.png").shape == (50, 60)


def jpeg(side, scans, *, before=b""):
    """A progressive JPEG whose last scan is there so many times, with a comment `before`."""
    file = BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(before)) + before
    return data[:2] + comment + data[2:-2] + last * scans + data[-2:]


def test_a_picture_in_many_scans_is_refused_and_not_drawn_again_and_again(tmp_path):
    path = write(tmp_path / "x.jpg", jpeg(64, 3, before=b"\xff\xda" * 9))
    assert decode(path).shape == (64, 64)
    assert "it has more than 100 scans" in refusal(write(path, jpeg(64, 200)))
    assert "it has more than 100 scans" in refusal(write(path, jpeg(64, 3 * 65_536)))


def test_reading_a_picture_ends_when_its_time_is_up(tmp_path, monkeypatch):
    path = write(tmp_path / "x.jpg", jpeg(64, 1))
    times = iter(range(0, 10**6, 50))
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    assert refusal(path).startswith(": was not read within 120 seconds")


@pytest.mark.parametrize(
    ("mode", "options", "held"),
    [
        ("L", {}, 3),  # it may become colour
        ("RGB", {}, 7),
        ("RGBA", {}, 7),
        ("I;16", {}, 3),
        ("RGB", {"format": "JPEG", "subsampling": 2}, 7),
        ("RGB", {"format": "JPEG", "subsampling": 0}, 10),
    ],
)
def test_what_a_picture_takes_while_it_is_read_is_charged(
    tmp_path, monkeypatch, mode, options, held
):
    path = tmp_path / "x.jpg"
    Image.new(mode, (1024, 64)).save(path, **{"format": "PNG", **options})
    size = held * 64 * 1024
    monkeypatch.setenv("GOOGLENET_BUDGET", f"bytes={size - 1}")
    assert refusal(path).startswith(": asks for ")
    monkeypatch.setenv("GOOGLENET_BUDGET", f"bytes={size + 8 * 64}")
    assert decode(path).shape[:2] == (64, 1024)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_tiles_give_the_pixels_of_the_whole(tmp_path, monkeypatch, mode):
    """Pictures are converted tile by tile, to take less memory."""
    image = Image.fromarray(COLOUR).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image, np.uint16) * 257)
    image.save(tmp_path / "x.png")
    whole = decode(tmp_path / "x.png")
    monkeypatch.setattr("googlenet.data.pictures._TILE", 4)
    assert np.array_equal(decode(tmp_path / "x.png"), whole)
    if mode == "RGB":
        assert np.array_equal(whole, COLOUR)


def test_an_array_has_no_more_axes_than_numpy(tmp_path, monkeypatch):
    path = write(tmp_path / "x.npy", npy_of(NPY % (b"(" + b"1," * 65 + b")")) + bytes(4))
    text = refusal(path)
    assert text.startswith(": asks for an array of 65 axes, expected at most 32; no setting")
    path = write(tmp_path / "x.npy", npy_of(NPY % (b"(" + b"1," * 40 + b")")) + bytes(4))
    assert refusal(path).endswith("GOOGLENET_BUDGET=axes=64")
    monkeypatch.setenv("GOOGLENET_BUDGET", "axes=64")
    # NumPy had 32 axes before it had 64.
    assert re.search(r"expected numbers of shape \(N, H, W\)|dimension", refusal(path))


def test_images_have_names_only_when_they_are_asked_for(tmp_path):
    path = save(tmp_path / "x.npy", np.arange(10**6, dtype=np.uint8).reshape(-1, 1, 1))
    tracemalloc.start()
    try:
        found = named_images(path)[1:]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    name, image = found[:7][-1]
    assert (len(found), name, image) == (10**6 - 1, f"{path}[7]", np.uint8([[7]]))
    assert [name for name, _ in found[:2]] == [f"{path}[1]", f"{path}[2]"]


def test_memory_that_is_used_up_names_the_file(tmp_path, monkeypatch):
    def full(file):
        raise MemoryError

    monkeypatch.setattr("googlenet.data.decoding.read_header", full)
    path = save(tmp_path / "x.npy", PIXELS)
    assert refusal(path) == ": takes more memory than is left; give a smaller one"
