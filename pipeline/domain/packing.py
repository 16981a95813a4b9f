"""Numbers, times and names as few bytes: what an encoded profile is made of.

A number takes a byte for each seven bits, the lowest first; the last byte has no high bit. A time is the difference to
the time before it, zigzag, and one more; 0 stands for NEVER. A text is its length and its UTF-8. A name is its place in
the lane's list of names and one more, or 0 and the text of a name that the list lacks.
"""

from collections.abc import Iterable, Sequence

import msgspec

from pipeline.domain.bytewise import begin_of, put, put_text, size_of, text_at
from pipeline.domain.extremes import NEVER

_WORD = 64
_LONGEST = 10
"""Bytes of the largest number."""
_ROOM = 480
"""Bytes that a writer begins with: they are set and seldom moved, where bytes that are appended move with each few."""


class Names:
    """The names that the profiles of a lane are written with. Such a list only ever grows: places are in profiles."""

    __slots__ = ("names", "places")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = list(dict.fromkeys(names))
        self.places = {name: place for place, name in enumerate(self.names)}

    def with_more(self, names: Iterable[str]) -> "Names":
        """A list that begins with these, and has the others too."""
        return Names([*self.names, *names])


NO_NAMES = Names()


class Frame:
    """What the bytes of one profile are relative to: the lane's names, and a time, the profile's epoch in ms."""

    __slots__ = ("epoch", "names")

    def __init__(self, names: Names, epoch: int) -> None:
        self.names = names
        self.epoch = epoch


class Writer:
    """Collects bytes; the first time is written relative to the frame's. `_out` has room behind the `_at` bytes."""

    __slots__ = ("_at", "_out", "_places", "_reference")

    def __init__(self, frame: Frame) -> None:
        self._out = bytearray(_ROOM)
        self._at = 0
        self._places = frame.names.places
        self._reference = frame.epoch

    def begin(self, frame: Frame) -> int:
        """Goes on by another frame, with a blob that `end` closes; where it begins."""
        self._places = frame.names.places
        self._reference = frame.epoch
        self._make_room(_LONGEST)
        self._at += 1
        return self._at

    def end(self, first: int) -> None:
        """Puts its length before the blob that began at `first`. What follows is no name and no time."""
        size = self._at - first
        out = self._out
        if size <= 0x7F:
            out[first - 1] = size
        else:
            body = bytes(out[first : self._at])
            self._at = first - 1
            self.number(size)
            self._put(body, size)

    def number(self, value: int) -> None:
        """A whole number from 0 on."""
        if len(self._out) - self._at < _LONGEST:
            self._make_room(_LONGEST)
        out, at = self._out, self._at
        while value > 0x7F:
            out[at] = value & 0x7F | 0x80
            at += 1
            value >>= 7
        out[at] = value
        self._at = at + 1

    def time(self, at: int) -> None:
        """Milliseconds, or NEVER."""
        if at == NEVER:
            self.number(0)
            return
        difference = at - self._reference
        self._reference = at
        self.number(2 * difference + 1 if difference >= 0 else -2 * difference)

    def refer(self, at: int) -> None:
        """The next time is written relative to this one, unless that is NEVER."""
        if at != NEVER:
            self._reference = at

    def text(self, text: str) -> None:
        size = size_of(text)
        self.number(size)
        if size:
            self._make_room(size)
            put_text(self._out, self._at, text)
            self._at += size

    def blob(self, data: bytes) -> None:
        size = len(data)
        self.number(size)
        if size:
            self._put(data, size)

    def name(self, name: str) -> None:
        place = self._places.get(name)
        if place is None:
            self.number(0)
            self.text(name)
        else:
            self.number(place + 1)

    def written(self) -> bytes:
        return begin_of(self._out, self._at)

    def _put(self, data: bytes, size: int) -> None:
        self._make_room(size)
        put(self._out, self._at, data)
        self._at += size

    def _make_room(self, size: int) -> None:
        if len(self._out) - self._at < size:
            self._out += bytes(len(self._out) + size)


class Reader:
    """Reads in the order of writing; msgspec.ValidationError where the bytes end too soon or name nothing."""

    __slots__ = ("_data", "_names", "_reference", "_size", "at")

    def __init__(self, data: bytes, frame: Frame) -> None:
        self._data = data
        self._size = len(data)
        self._names = frame.names.names
        self._reference = frame.epoch
        self.at = 0

    def begin(self, frame: Frame) -> None:
        """Goes on by another frame."""
        self._names = frame.names.names
        self._reference = frame.epoch

    def inside(self, frame: Frame) -> "Reader":
        """A reader of the blob that is next, by its own frame; the bytes are not copied."""
        size = self.number()
        first = self.at
        if not 0 <= size <= self._size - first:
            raise _malformed()
        self.at = first + size
        inner = Reader(self._data, frame)
        inner.at, inner._size = first, self.at
        return inner

    def number(self) -> int:
        data, at, size = self._data, self.at, self._size
        if at >= size:
            raise _malformed()
        byte = data[at]
        at += 1
        found, shift = byte & 0x7F, 7
        while byte & 0x80:
            if at >= size or shift >= _WORD:
                raise _malformed()
            byte = data[at]
            at += 1
            found |= (byte & 0x7F) << shift
            shift += 7
        self.at = at
        return found

    def time(self) -> int:
        coded = self.number()
        if coded == 0:
            return NEVER
        self._reference += (coded - 1) >> 1 if coded & 1 else -(coded >> 1)
        return self._reference

    def refer(self, at: int) -> None:
        """As it was written."""
        if at != NEVER:
            self._reference = at

    def blob(self) -> bytes:
        size = self.number()
        first = self.at
        if not 0 <= size <= self._size - first:
            raise _malformed()
        self.at = first + size
        return self._data[first : first + size]

    def text(self) -> str:
        size = self.number()
        first = self.at
        if not 0 <= size <= self._size - first:
            raise _malformed()
        self.at = first + size
        try:
            return text_at(self._data, first, size)
        except UnicodeDecodeError:
            raise _malformed() from None

    def name(self) -> str:
        place = self.number()
        if place == 0:
            return self.text()
        if place > len(self._names):
            raise msgspec.ValidationError(f"it has name {place} of {len(self._names)}")
        return self._names[place - 1]

    def times(self) -> tuple[int, ...]:
        """So many times, and those."""
        return tuple([self.time() for _ in range(self.number())])

    def numbers(self) -> tuple[int, ...]:
        """So many numbers, and those."""
        return tuple([self.number() for _ in range(self.number())])

    def ends(self) -> bool:
        return self.at >= self._size


def times_out(writer: Writer, times: Sequence[int]) -> None:
    writer.number(len(times))
    for at in times:
        writer.time(at)


def numbers_out(writer: Writer, numbers: Sequence[int]) -> None:
    writer.number(len(numbers))
    for number in numbers:
        writer.number(number)


def _malformed() -> msgspec.ValidationError:
    return msgspec.ValidationError("it ends too soon, or is none")
