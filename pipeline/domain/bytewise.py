"""What is quicker on the bytes themselves than through Python's objects; bytewise.pxd says the same in C.

Where the package is compiled, its modules call those, and nothing here runs.
"""


def opens_more(value: bytes, most: int) -> bool:
    """Whether it opens more than `most` braces and brackets, those inside strings too."""
    return value.count(b"{") + value.count(b"[") > most


def put(out: bytearray, at: int, data: bytes) -> None:
    """Writes `data` over what stands in `out` from `at` on; there is room for it."""
    out[at : at + len(data)] = data


def size_of(text: str) -> int:
    """Its bytes in UTF-8; UnicodeEncodeError if it has none."""
    return len(text.encode())


def put_text(out: bytearray, at: int, text: str) -> None:
    """Writes its UTF-8 likewise."""
    put(out, at, text.encode())


def begin_of(out: bytearray, size: int) -> bytes:
    """The first `size` bytes; it has as many."""
    return bytes(memoryview(out)[:size])


def text_at(data: bytes, first: int, size: int) -> str:
    """The text of the `size` bytes from `first` on, all of which `data` has; UnicodeDecodeError if they are none."""
    return data[first : first + size].decode()
