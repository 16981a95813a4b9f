"""What subscribers read, as typed values: transitions, signals, dead letters."""

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import msgspec

from pipeline.application.intake import ERRORS, REASON
from pipeline.application.routing import APPENDED
from pipeline.domain.moments import parse_moment

if TYPE_CHECKING:
    from pipeline.adapters.kafka.feed_reader import FeedRecord


class EventCause(msgspec.Struct, frozen=True):
    """The event that brought something about."""

    id: str
    type: str
    channel: str


class TimerCause(msgspec.Struct, frozen=True):
    """The silence that brought something about; times RFC 3339."""

    rule: str
    since: str
    due: str

    @property
    def lasted(self) -> int:
        """Milliseconds."""
        return parse_moment(self.due) - parse_moment(self.since)


class VersionCause(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The version of the journey that the customer came from, and what was declared for their stage."""

    from_: int
    way: str


class LinkCause(msgspec.Struct, frozen=True):
    """An identity came to this customer, was cut off again, or is the owner that this one joined."""

    change: Literal["united", "cut", "joined"]
    identity: str


class Cause(msgspec.Struct, frozen=True):
    """An event or a silence, and the rule that it met; that another version of the journey was promoted; or a link."""

    rule: str
    event: EventCause | None = None
    timer: TimerCause | None = None
    version: VersionCause | None = None
    link: LinkCause | None = None


class PublishedTransition(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """Transition v1; a stage is None where the customer has entered none."""

    id: str
    customer_id: str
    journey: str
    version: int
    seq: int
    kind: Literal["entered", "corrected", "retracted", "moved"]
    from_: str | None
    to: str | None
    entry: str
    supersedes: list[str]
    occurred_at: str
    published_at: str
    cause: Cause
    into: str | None = None


class PublishedSignal(msgspec.Struct, frozen=True):
    """Signal v1."""

    id: str
    customer_id: str
    journey: str
    version: int
    signal: str
    kind: Literal["fired", "retracted"]
    occurrence: int
    due_at: str
    expires_at: str | None
    expired: bool
    overtaken: bool
    cause: Cause
    stage: str | None


class PublishedPlace(msgspec.Struct, frozen=True):
    """A customer's place in one journey; no stage where they have entered none."""

    version: int
    stage: str | None


class PublishedCustomer(msgspec.Struct, frozen=True):
    """Customer v1, as far as it says where the customer is: by name of the journey."""

    journeys: dict[str, PublishedPlace]


class Valued(Protocol):
    """A record, however it was read."""

    @property
    def value(self) -> bytes | None: ...


Published = PublishedTransition | PublishedSignal

_transition = msgspec.json.Decoder(PublishedTransition).decode
_signal = msgspec.json.Decoder(PublishedSignal).decode
_customer = msgspec.json.Decoder(PublishedCustomer).decode


def transition(record: Valued) -> PublishedTransition:
    """msgspec.MsgspecError if the record is none."""
    return _transition(record.value or b"")


def signal(record: Valued) -> PublishedSignal:
    """msgspec.MsgspecError if the record is none."""
    return _signal(record.value or b"")


def customer(record: Valued) -> PublishedCustomer:
    """msgspec.MsgspecError if the record is none."""
    return _customer(record.value or b"")


class DeadLetter(NamedTuple):
    """Why a record could not be used, and the record; `origin` is topic-partition@offset, `appended` ms."""

    reason: str
    message: str
    origin: str
    appended: int | None
    key: str
    value: str


def dead_letter(record: "FeedRecord") -> DeadLetter:
    """Never raises: what is missing is empty."""
    headers = {name: value.decode(errors="replace") for name, value in record.headers}

    def said(name: str) -> str:
        return headers.get(ERRORS + name, "")

    appended = headers.get(APPENDED, "")
    return DeadLetter(
        reason=headers.get(REASON, "unknown"),
        message=said("exception.message"),
        origin=f"{said('topic')}-{said('partition')}@{said('offset')}",
        appended=int(appended) if appended.isdigit() else None,
        key=(record.key or b"").decode(errors="replace"),
        value=(record.value or b"").decode(errors="replace"),
    )
