"""The one place where Pillow opens a file: PNG and JPEG, by name, and nothing else.

Pillow would find out by itself what a file is, and knows some forty formats. One of them
(PostScript, whatever the file is called) runs Ghostscript, and the decoders of the others are
further ways in, for pictures that no data set of this project has. So a format is admitted here by
its name and read only if its file begins as one:

* PNG, lossless: what `googlenet` and the book's data sets use;
* JPEG, which photographs are in, with the several pictures of one file that cameras write.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

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

_ROWS = 256
_ORIENTATION = 0x0112  # the tag of EXIF
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
            with _opened(file) as picture:
                return _upright(_pixels(picture), _orientation(picture))
        except GoogLeNetError:
            raise
        # Pillow's parsers also raise SyntaxError, AssertionError, struct.error and zlib.error.
        except Exception as error:
            words = " ".join(str(error).split())[:300] or type(error).__name__
            raise DataError(f"{path}: is not a readable image ({words})") from error


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
            meter().take_bytes(3 * picture.width * picture.height)
            yield picture


def _pixels(picture: Picture) -> Array:
    if picture.mode.startswith("I"):  # Pillow's own conversion would clip, not scale
        wide, pixels = np.asarray(picture), np.empty((picture.height, picture.width), np.uint8)
        for start in range(0, len(wide), _ROWS):  # which takes little more than the result
            rows = wide[start : start + _ROWS].astype(np.int64).clip(0, 65535)
            pixels[start : start + _ROWS] = (rows + 128) // 257  # 257 is odd: nothing is halfway
        return pixels
    if picture.mode == "P":
        _check_palette(picture)
    return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))


def _check_palette(picture: Picture) -> None:
    """Raises `ValueError` for a pixel whose colour the palette does not have."""
    picture.load()
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
