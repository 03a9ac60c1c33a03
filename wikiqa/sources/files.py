"""Files as people have them: packed or not, with a byte order mark or not."""

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from elusive.common.errors import InputError

MARK = b"\xef\xbb\xbf"
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
PACKED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")


def require_file(path: Path) -> None:
    """Raise InputError unless there is a file."""
    if path.is_dir():
        raise InputError(f"{path} is a folder: name one of its files, or texts with --texts")
    if not path.is_file():
        raise InputError(f"no file at {path}")


def open_source(path: Path) -> BinaryIO:
    """Open a file for reading its bytes, unpacked and without the mark of UTF-8.

    What it begins with tells gzip, zstd, bzip2 and xz, whatever its name is.

    Raises:
        InputError: there is no such file, or it is in UTF-16.
    """
    try:
        with path.open("rb") as file:
            head = file.read(6)
        stream = _unpack(path, head)
        beginning = stream.peek(3)[:3]
    except (OSError, EOFError, pa.ArrowException, lzma.LZMAError) as error:
        raise InputError(f"cannot read {path}: {_describe(error)}") from None
    if beginning.startswith(WIDE_MARKS):
        stream.close()
        raise InputError(f"{path} is in UTF-16: convert it to UTF-8 first")
    if beginning == MARK:
        stream.read(3)
    return cast(BinaryIO, stream)


def _unpack(path: Path, head: bytes) -> io.BufferedReader:
    if head.startswith(b"\x1f\x8b"):
        return io.BufferedReader(cast(io.RawIOBase, gzip.open(path)))
    if head.startswith(b"BZh"):
        return io.BufferedReader(cast(io.RawIOBase, bz2.open(path)))
    if head.startswith(b"\xfd7zXZ"):
        return io.BufferedReader(cast(io.RawIOBase, lzma.open(path)))
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return io.BufferedReader(cast(io.RawIOBase, _Unpacked(stream)))
    return path.open("rb")


class _Unpacked(io.RawIOBase):
    """A stream of pyarrow as a raw stream of Python."""

    def __init__(self, stream: pa.CompressedInputStream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _describe(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).splitlines()[0][:160]


def get_suffix(path: Path) -> str:
    """Return what the name of a file ends in, without that of a packer.

    >>> get_suffix(Path("rows.csv.gz"))
    '.csv'
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in PACKED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
