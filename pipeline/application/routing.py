"""How an event travels from one lane to another: a record on `journey.events`, keyed by whom it is for.

What the lane needs is the message in the value. The headers of the raw record come along, with those that say where it
was first, for whoever reads the topic or finds the event among the dead letters.
"""

from pipeline.application.ports import Entry, Headers, Record
from pipeline.domain.event import Invalid
from pipeline.domain.identity import Key, public_key
from pipeline.domain.messages import Post, Seen, encode_message

APPENDED = "journey.appended"
ORIGIN = "journey.origin"
HOPS = "journey.hops"

MOST_HEADERS = 256 * 1024
"""Bytes of a record's own headers that are carried along; a batch must fit into a topic's max.message.bytes."""

_OURS = frozenset((APPENDED, HOPS))


def sent_on(key: Key, seen: Seen, headers: Headers) -> Entry:
    """The record by which an event goes to `key`; raises Invalid if its headers are too large.

    `headers` are those that it came with, its origin among them.
    """
    own = [header for header in headers if header[0] not in _OURS]
    if len(own) > 1 and (size := size_of(own)) > MOST_HEADERS:
        raise Invalid("too_large", f"{size} bytes of headers; {MOST_HEADERS} are allowed")
    own += [(APPENDED, str(seen.appended).encode()), (HOPS, str(seen.hops).encode())]
    return (public_key(key).encode(), encode_message(seen), own)


def with_origin(topic: str, partition: int, record: Record) -> Headers:
    """The headers of a raw record, and where it stands."""
    origin = (ORIGIN, f"{topic}-{partition}@{record.offset}".encode())
    if not record.headers:
        return [origin]
    return [*(header for header in record.headers if header[0] != ORIGIN), origin]


def posted(post: Post) -> Entry:
    """The record of any other message."""
    return (public_key(Key(post.to)).encode(), encode_message(post.message), ())


def size_of(headers: Headers) -> int:
    """Bytes of all names and values."""
    return sum(len(name) + len(text or b"") for name, text in headers)
