"""Numbers, times and names as few bytes: what an encoded profile is made of.

A number takes a byte for each seven bits, the lowest first; the last byte has no high bit. A time is the difference to
the time before it, zigzag, and one more; 0 stands for NEVER. A text is its length and its UTF-8. A name is its place in
the lane's list of names and one more, or 0 and the text of a name that the list lacks.
"""

from collections.abc import Iterable, Sequence

import msgspec

from pipeline.domain.extremes import NEVER

_WORD = 64


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
    """Collects bytes; the first time is written relative to the frame's."""

    __slots__ = ("_out", "_places", "_reference")

    def __init__(self, frame: Frame) -> None:
        self._out = bytearray()
        self._places = frame.names.places
        self._reference = frame.epoch

    def number(self, value: int) -> None:
        """A whole number from 0 on."""
        out = self._out
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)

    def time(self, at: int) -> None:
        """Milliseconds, or NEVER."""
        if at == NEVER:
            self._out.append(0)
            return
        difference = at - self._reference
        self._reference = at
        self.number(2 * difference + 1 if difference >= 0 else -2 * difference)

    def refer(self, at: int) -> None:
        """The next time is written relative to this one, unless that is NEVER."""
        if at != NEVER:
            self._reference = at

    def text(self, text: str) -> None:
        self.blob(text.encode())

    def blob(self, data: bytes) -> None:
        self.number(len(data))
        self._out += data

    def name(self, name: str) -> None:
        place = self._places.get(name)
        if place is None:
            self._out.append(0)
            self.text(name)
        else:
            self.number(place + 1)

    def written(self) -> bytes:
        return bytes(self._out)


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

    def number(self) -> int:
        data, at = self._data, self.at
        found, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            if at >= self._size or shift >= _WORD:
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
        if size > self._size - first:
            raise _malformed()
        self.at = first + size
        return self._data[first : first + size]

    def text(self) -> str:
        try:
            return self.blob().decode()
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
