"""The output of the systems that publish transitions as the common work has them."""

import msgspec

from tests.benchmarks.oracle import Transition


class _Published(msgspec.Struct):
    customer_id: str
    seq: int
    target: str = msgspec.field(name="to")
    source: str = msgspec.field(name="from")
    occurred_at: str
    cause: str


_decode = msgspec.json.Decoder(_Published).decode


def read_plain(value: bytes) -> Transition:
    """One record; msgspec.ValidationError if it is none."""
    said = _decode(value)
    return Transition(said.customer_id, said.seq, said.source, said.target, said.occurred_at, said.cause)
