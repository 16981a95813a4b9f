"""Whether bytes are an event, whose, and when, by the checker's own reading of schemas/raw-event and rule 1."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from pipeline.checker.plain_admission import Act
from pipeline.checker.plain_identity import names
from pipeline.checker.plain_links import is_customer
from pipeline.checker.plain_messages import Message, NoMessage, read_message
from pipeline.checker.plain_touches import CHANNELS, touch_of
from pipeline.checker.rules import Input, Record, Rules

ROUTED = ("journey.appended", "journey.origin", "journey.hops")
MERGED = "customer_merged"
"""Says that the customer is the same person as `properties.into`."""
MOST_HEADERS = 256 * 1024
"""Bytes of headers that are carried to another lane."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = (datetime(9000, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


class NoEvent(Exception):
    """The record is no event, and belongs into the dead letters; says why."""


class Said(NamedTuple):
    """A valid event: its customer as subscribers know them, whom else it names, and its act if it is taken in.

    `same`: another customer who is the same person, as the event says.
    """

    customer: str
    named: tuple[str, ...]
    act: Act
    same: str = ""


class EventReader:
    """Reads the records of one application's inputs. Remembers what costs much to find out again."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._customers: set[str] = set()
        self._touches: dict[tuple[str, str, str | None, str | None], str] = {}
        self._company = frozenset({row.name for row in rules.rows if row.actor == "company"} | {"company_act"})
        self._by_properties = {kind for row in rules.rows if row.where for kind in row.types or ("",)}

    def raw(self, record: Record, source: Input, partition: int) -> Said:
        """An event as its channel sent it; raises NoEvent."""
        event = self._decoded(record.value)
        channel = source.channel
        if channel is None:
            channel = event.get(source.channel_field or "channel")
            if channel not in CHANNELS:
                raise NoEvent(f"the channel is none of {', '.join(CHANNELS)}")
        elif event.get("channel") not in (None, channel):
            raise NoEvent(f"the channel is not {channel}")
        at = _moment(event["occurred_at"])
        future = self._rules.future
        if future is not None and at > record.timestamp + future:
            raise NoEvent("it is ahead of its append time")
        return self._said(event, channel, at, record.timestamp, partition, record.offset)

    def message(self, record: Record) -> Message:
        """What another lane has sent; raises NoEvent."""
        try:
            return read_message(record.key, record.value, self._company)
        except NoMessage as why:
            raise NoEvent(str(why)) from None

    def _said(
        self, event: Mapping[str, Any], channel: str, at: int, appended: int, partition: int, offset: int
    ) -> Said:
        customer, *others = self._names(event)
        company = event.get("actor") == "company"
        act = Act(at, appended, partition, offset, event["id"], self._touch(event, channel), channel, company)
        same = self._same(event, customer) if event["type"] == MERGED else ""
        return Said(customer, tuple(others), act, same)

    def _same(self, event: Mapping[str, Any], customer: str) -> str:
        """Into whom another system has merged the customer; raises NoEvent."""
        into = event.get("properties", {}).get("into") if isinstance(event.get("properties", {}), dict) else None
        found = names({"customer_id": into}, self._rules.identities) if isinstance(into, str) else []
        kinds = [kind.name for kind in self._rules.identities.kinds]
        if not found or found[0] == customer or not is_customer(customer, kinds):
            raise NoEvent("a merge that does not name two customers")
        return found[0]

    def _names(self, event: Mapping[str, Any]) -> list[str]:
        """Whom it names, the strongest first; raises NoEvent."""
        customer, identities = event.get("customer_id"), event.get("identities")
        if not isinstance(customer, str | None):
            raise NoEvent("the customer id is no text")
        if identities is None and customer in self._customers:
            return [customer]
        if identities is not None and not (
            isinstance(identities, dict) and all(isinstance(value, str) for value in identities.values())
        ):
            raise NoEvent("the identities are not texts")
        found = names(event, self._rules.identities)
        if not found:
            raise NoEvent("nobody is named")
        self._customers.update(name for name in found[:1] if name == customer)
        return found

    def _touch(self, event: Mapping[str, Any], channel: str) -> str:
        kind = event["type"]
        if kind in self._by_properties or "" in self._by_properties:
            return touch_of(event, channel, self._rules.rows)
        envelope = (kind, channel, event.get("source"), event.get("actor"))
        found = self._touches.get(envelope)
        if found is None:
            found = self._touches[envelope] = touch_of(event, channel, self._rules.rows)
        return found

    def _decoded(self, value: bytes | None) -> dict[str, Any]:
        rules = self._rules
        if value is None or len(value) > rules.max_bytes:
            raise NoEvent("no value, or too large a one")
        try:
            event = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise NoEvent(f"not JSON: {error}") from None
        if value.count(b"{") + value.count(b"[") > rules.max_depth and _depth(event) > rules.max_depth:
            raise NoEvent("nested too deep")
        if not isinstance(event, dict):
            raise NoEvent("not a JSON object")
        source, kind, identifier = event.get("source"), event.get("type"), event.get("id")
        if not isinstance(identifier, str) or not 0 < len(identifier) <= 64:
            raise NoEvent("the id is not a text of 1 to 64 characters")
        if not isinstance(kind, str) or len(kind) > 128:
            raise NoEvent("the type is not a text of up to 128 characters")
        if source is not None and (not isinstance(source, str) or len(source) > 128):
            raise NoEvent("the source is not a text of up to 128 characters")
        if not isinstance(event.get("channel"), str | None):
            raise NoEvent("the channel is no text")
        if event.get("actor", "customer") not in ("customer", "company"):
            raise NoEvent("the actor is neither customer nor company")
        if "occurred_at" not in event:
            raise NoEvent("no occurred_at")
        return event


def check_carried(record: Record) -> None:
    """Raises NoEvent if the record has too many bytes of headers to be sent on to another lane."""
    size = sum(len(name) + len(value or b"") for name, value in record.headers if name not in ROUTED)
    if size > MOST_HEADERS:
        raise NoEvent(f"{size} bytes of headers, and its home is elsewhere")


def _moment(at: object) -> int:
    """Event time in ms; raises NoEvent."""
    if isinstance(at, str):
        try:
            when = datetime.fromisoformat(at)
        except ValueError:
            raise NoEvent("occurred_at is no date-time") from None
        if when.tzinfo is None or len(at) < 20 or at[10] not in "Tt ":
            raise NoEvent("occurred_at is no date-time with an offset")
        at = (when - _EPOCH) // timedelta(milliseconds=1)
    if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at <= _LATEST:
        raise NoEvent("occurred_at is not between the years 1970 and 9000")
    return at


def _depth(value: object) -> int:
    """How deep lists and objects are nested. Level by level: what is nested without end must not exhaust the stack."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth
