"""The one place where Pillow opens a file: PNG and JPEG, by name, and nothing else.

Pillow would find out by itself what a file is, and knows some forty formats. One of them
(PostScript, whatever the file is called) runs Ghostscript, and the decoders of the others are
further ways in, for pictures that no data set of this project has. So a format is admitted here by
its name and read only if its file begins as one:

* PNG, lossless: what `googlenet` and the book's data sets use;
* JPEG, which photographs are in, with the several pictures of one file that cameras write.

What is charged is what is in memory at once: Pillow's pixels, four bytes of each unless they are
grey, with the coefficients that libjpeg keeps of a picture in several scans, or with the result.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from ..arrays import Array
from ..budget import meter
from ..errors import DataError, GoogLeNetError
from ..paths import open_file

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

#: What the names of these files end in.
SUFFIXES = (".png", ".jpg", ".jpeg")
#: What the names of pictures of other formats end in, none of which is read.
OTHER_PICTURES = (".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".jp2", ".ppm")
FORMATS = ("PNG", "JPEG")
#: The first bytes of files of these kinds.
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"

_ORIENTATION = 0x0112  # the tag of EXIF
#: How often a JPEG may go over its pixels. Encoders write about ten scans; one of 59 bytes can ask
#: for as much work as the whole picture.
MOST_SCANS = 100
_SCAN = b"\xff\xda"

#: Bytes that Pillow holds of a pixel in the modes of PNG and JPEG; all others take four.
_SMALL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
_LEAST = 3  # bytes of a pixel that are charged at least: grey may become colour later
_TILE = 1024  # pixels
#: Bytes that Pillow holds of a row besides its pixels.
ROW = 8
_LOCK = threading.Lock()


def is_picture(head: bytes) -> bool:
    """Whether a file that begins with the eight bytes `head` is in one of the formats."""
    return head.startswith((PNG, JPEG))


def read_picture(path: Path) -> Array:
    """The pixels of a PNG or JPEG file: uint8 (H, W) if it is grey, else (H, W, 3). 16-bit grey
    becomes 8-bit, palettes become their colours, and transparency is left out. One that a camera
    marked as turned is turned upright.

    Raises `DataError`, naming the file, for anything else and any damage; what the meter raises if
    its header asks for too many pixels, before one is decoded; `OSError` if it cannot be opened.
    """
    with open_file(path) as file:
        head = file.read(len(PNG))
        file.seek(0)
        if not is_picture(head):
            raise DataError(f"{path}: is not a readable image (it is neither PNG nor JPEG)")
        try:
            watched = _Watched(file, scans=head.startswith(JPEG))
            with _opened(cast(BinaryIO, watched)) as picture:
                return _upright(_pixels(picture), _orientation(picture))
        except GoogLeNetError:
            raise
        # Pillow's parsers also raise SyntaxError, AssertionError, struct.error and zlib.error.
        except Exception as error:
            words = " ".join(str(error).split())[:300] or type(error).__name__
            raise DataError(f"{path}: is not a readable image ({words})") from error


class _Watched:
    """A file that Pillow reads in blocks: each is a moment to see how long it has taken, and with
    `scans` how many of them there are. Their mark is nowhere in a scan; in a picture's metadata it
    is by chance, in one place of 65,536.
    """

    def __init__(self, file: BinaryIO, *, scans: bool) -> None:
        self._file, self._last, self._scans, self._counting = file, b"", 0, scans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place; at the start of the file, count anew."""
        self._last = b""
        if offset == whence == 0:
            self._scans = 0
        return self._file.seek(offset, whence)

    def read(self, count: int = -1) -> bytes:
        """The next bytes. Raises `ValueError` for too many scans, and what the meter raises."""
        meter().check_time()
        data = self._file.read(count)
        self._scans += (self._last + data).count(_SCAN)
        self._last = data[-1:] if data else self._last
        if self._counting and self._scans > MOST_SCANS:
            raise ValueError(f"it has more than {MOST_SCANS} scans; save it again")
        return data


@contextmanager
def _opened(file: BinaryIO) -> Iterator[Picture]:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata and transparency, which do not matter here
        with _LOCK:
            # Our budget, which a user may raise, takes the place of Pillow's fixed bound. Only the
            # header is read before it is charged.
            bound, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                picture = Image.open(file, formats=FORMATS)
            finally:
                Image.MAX_IMAGE_PIXELS = bound
        with picture:
            meter().take_bytes(_held(picture))
            yield picture


def _held(picture: Picture) -> int:
    """How many bytes are in memory at once until the picture is an array."""
    pixels = int(picture.width * picture.height)
    result = 1 if picture.mode in _GREY or picture.mode.startswith("I") else 3
    # Of each component two bytes, in proportion to how often it is sampled; none in a PNG.
    samples: list[tuple[int, int]] = [
        (across, down) for _, across, down, _ in getattr(picture, "layer", [])
    ]
    most = max((across for across, _ in samples), default=1) * max(
        (down for _, down in samples), default=1
    )
    coefficients = 2 * pixels * sum(across * down for across, down in samples) // max(1, most)
    held = _SMALL.get(picture.mode, 4) * pixels + max(result * pixels, coefficients)
    return max(_LEAST * pixels, held + ROW * picture.height)


#: The modes that stay grey; "I" and its kinds have 16 bits, and stay so too.
_GREY = ("1", "L")


def _pixels(picture: Picture) -> Array:
    picture.load()
    if picture.mode == "P":
        _check_palette(picture)
    wide, grey = picture.mode.startswith("I"), picture.mode in _GREY
    shape = (picture.height, picture.width)
    pixels: Array = np.empty(shape if wide or grey else (*shape, 3), np.uint8)
    # Tile by tile, which takes little more than the result.
    for top in range(0, picture.height, _TILE):
        for left in range(0, picture.width, _TILE):
            here = pixels[top : top + _TILE, left : left + _TILE]
            tile = picture.crop((left, top, left + here.shape[1], top + here.shape[0]))
            if wide:  # Pillow's own conversion would clip, not scale
                values = np.asarray(tile).astype(np.int64).clip(0, 65535)
                here[...] = (values + 128) // 257  # 257 is odd: nothing is halfway
            else:
                here[...] = np.asarray(tile.convert("L" if grey else "RGB"))
    return pixels


def _check_palette(picture: Picture) -> None:
    """Raises `ValueError` for a pixel whose colour the palette does not have."""
    palette = picture.palette
    colours = 0 if palette is None else len(palette.palette) // len(palette.mode)
    _, highest = picture.getextrema()
    if not isinstance(highest, (int, float)) or highest >= colours:
        raise ValueError(f"a pixel has colour {highest} of a palette of {colours}")


def _orientation(picture: Picture) -> int:
    """How the picture is turned, by EXIF's number from 1, upright, to 8."""
    try:
        found = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow's parser raises anything on damaged metadata, which do not matter
        return 1
    return found if isinstance(found, int) else 1


def _upright(pixels: Array, orientation: int) -> Array:
    """Pixels (H, W) or (H, W, 3) turned as EXIF 2.3, section 4.6.4, tag 274, says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
