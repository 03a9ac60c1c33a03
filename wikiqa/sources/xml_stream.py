"""The XML of a dump as a stream in which no text is longer than a limit."""

import re
from typing import Protocol

CHUNK = 1 << 16
CUT = "\ue0ff"
"""Ends a text that is cut; from the part of Unicode that is reserved for private use."""
ROOT = re.compile(rb"<mediawiki\b[^>]*>\s*(?=<(?!siteinfo\b))")
HEAD = 1 << 14
"""Bytes within which a dump has the tags that its first page follows."""


class Readable(Protocol):
    """A binary file."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        ...


class BoundedXml:
    """Reads XML, in which what stands between two tags is cut at a limit.

    A packed file of two kilobytes can hold a text of gigabytes, which an XML parser would gather in
    memory before its length can be looked at. A dump without <siteinfo> gets an empty one, which
    mwxml asks for.
    """

    def __init__(self, file: Readable, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._run = 0  # bytes since the last tag began
        self._is_cut = False
        self._tail = b""
        self._head: bytes | None = b""

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; none at the end."""
        while chunk := self._file.read(CHUNK if size < 0 else max(size, 1)):
            if cut := self._cut(self._add_siteinfo(chunk)):
                return cut
        rest, self._head = self._head, None
        return rest or b""

    def _add_siteinfo(self, chunk: bytes) -> bytes:
        """Hold back the head of the file until its first tags are there."""
        if self._head is None:
            return chunk
        self._head += chunk
        if len(self._head) < HEAD and b"<page" not in self._head and b"<siteinfo" not in self._head:
            return b""
        head, self._head = self._head, None
        return ROOT.sub(rb"\g<0><siteinfo></siteinfo>", head, count=1)

    def _cut(self, chunk: bytes) -> bytes:
        """Return a chunk without what is beyond the limit."""
        if self._run + len(chunk) <= self._limit:
            last = chunk.rfind(b"<")
            self._run = self._run + len(chunk) if last < 0 else len(chunk) - last
            self._is_cut = self._is_cut and last < 0
            self._tail = (self._tail + chunk[-16:])[-16:]
            return chunk
        pieces = []
        for index, piece in enumerate(chunk.split(b"<")):
            if index:
                pieces.append(b"<")
                self._run, self._is_cut, self._tail = 0, False, b""
            pieces.append(self._cut_piece(piece))
        return b"".join(pieces)

    def _cut_piece(self, piece: bytes) -> bytes:
        """Cut a piece of text between a character and the next, outside of an entity."""
        if self._is_cut:
            return b""
        room = max(0, self._limit - self._run)
        self._run += len(piece)
        if len(piece) > room:
            text = self._tail + piece
            place = room + len(self._tail)
            while place < len(text) and not _is_boundary(text, place):
                place += 1
            if place < len(text):
                self._is_cut = True
                return text[len(self._tail) : place] + CUT.encode()
        self._tail = (self._tail + piece[-16:])[-16:]
        return piece


def _is_boundary(text: bytes, place: int) -> bool:
    entity = text.rfind(b"&", max(0, place - 12), place)
    return text[place] & 0xC0 != 0x80 and (entity < 0 or b";" in text[entity:place])
