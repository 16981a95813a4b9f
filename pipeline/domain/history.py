"""What a journey's history is made of."""

import msgspec


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One entry of a journey's history: at `at`, by `rule`, the customer came to stage `to`.

    Caused by the event `event` (with its type and channel), or, where that is empty, by silence since `since`.
    """

    at: int
    rule: str
    to: str
    event: str
    type: str
    channel: str
    since: int


class Firing(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A signal that was published and may still be withdrawn."""

    due: int
    rule: str
    since: int
    occurrence: int
