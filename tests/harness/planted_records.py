"""Faults planted between a lane and Kafka: transactions that are not what the lane has computed.

Each fault has a customer of its own, and spoils the transactions that tell of this customer.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from pipeline.adapters.kafka.writer import TransactionalWriter
from pipeline.application.ports import Entry, Outgoing
from pipeline.domain.moments import format_moment, parse_moment

Entries = list[Entry]
HOUR_MS = 3_600_000


def drop(entries: Entries, customer: str, _: bytes) -> Entries:
    return [entry for entry in entries if not names(entry, customer)]


def twice(entries: Entries, customer: str, _: bytes) -> Entries:
    return [entry for entry in entries for _ in range(2 if names(entry, customer) else 1)]


def skip_a_seq(entries: Entries, customer: str, _: bytes) -> Entries:
    def skipped(said: dict[str, Any]) -> dict[str, Any]:
        seq = said["seq"] + 1
        return {**said, "seq": seq, "id": f"{said['id'].rpartition(':')[0]}:{seq}"}

    return [changed(entry, skipped) if names(entry, customer) else entry for entry in entries]


def another_stage(entries: Entries, customer: str, _: bytes) -> Entries:
    def moved(said: dict[str, Any]) -> dict[str, Any]:
        return {**said, "to": "bought" if said["to"] != "bought" else "seen"}

    return [changed(entry, moved) if names(entry, customer) else entry for entry in entries]


def told_too_soon(entries: Entries, customer: str, transitions: bytes) -> Entries:
    """The silence of an hour after the cart, told and taken back."""
    carts = [json.loads(line) for line in transitions.splitlines() if b'"choosing"' in line]
    cart = next((said for said in carts if said["customer_id"] == customer and said["to"] == "choosing"), None)
    if cart is None:
        return entries
    since = cart["occurred_at"]
    due = format_moment(parse_moment(since) + HOUR_MS)
    said = {
        "id": f"{customer}:shop:cart_left:{cart['id'].split(':')[2]}:1",
        "customer_id": customer,
        "journey": "shop",
        "version": 1,
        "signal": "cart_left",
        "kind": "fired",
        "occurrence": 1,
        "due_at": due,
        "cause": {"timer": {"rule": "cart_left", "since": since, "due": due}, "rule": "cart_left"},
    }
    told = [json.dumps({**said, "kind": kind}).encode() for kind in ("fired", "retracted")]
    return [*entries, *((customer.encode(), value, ()) for value in told)]


def one_more_read(entries: Entries, customer: str, _: bytes) -> Entries:
    def counted(said: dict[str, Any]) -> dict[str, Any]:
        said["totals"]["web"]["read"] += 1
        return said

    if not any(names(entry, f"c:{customer}") for entry in entries):
        return entries
    return [changed(entry, counted) if entry[0] == b"@lane" else entry for entry in entries]


def without_profile(entries: Entries, customer: str, _: bytes) -> Entries:
    return drop(entries, f"c:{customer}", b"")


def without_message(kind: str) -> Callable[[Entries, str, bytes], Entries]:
    """Loses what of this kind is sent to the customer or to their anonymous identity."""

    def change(entries: Entries, customer: str, _: bytes) -> Entries:
        return [entry for entry in entries if not tells(entry, customer, kind)]

    return change


def message_twice(kind: str) -> Callable[[Entries, str, bytes], Entries]:
    def change(entries: Entries, customer: str, _: bytes) -> Entries:
        return [entry for entry in entries for _ in range(2 if tells(entry, customer, kind) else 1)]

    return change


def untold_move(entries: Entries, customer: str, _: bytes) -> Entries:
    """That the anonymous identity has become part of somebody is not said."""
    anonymous = f"anonymous:{customer}"
    return [entry for entry in entries if not names(entry, anonymous) or json.loads(entry[1] or b"")["kind"] != "moved"]


FAULTS: Mapping[str, tuple[str, Callable[[Entries, str, bytes], Entries]]] = {
    "transition lost": ("journey.transitions", drop),
    "transition doubled": ("journey.transitions", twice),
    "seq skipped": ("journey.transitions", skip_a_seq),
    "wrong stage": ("journey.transitions", another_stage),
    "profile lost": ("journey.profiles", without_profile),
    "wrong total": ("journey.profiles", one_more_read),
    "customer record lost": ("journey.customers", drop),
    "signal lost": ("journey.signals", drop),
    "told too soon": ("journey.signals", told_too_soon),
    "route lost": ("journey.events", drop),
    "route doubled": ("journey.events", twice),
    "dead letter lost": ("journey.dlq", drop),
    "claim lost": ("journey.events", without_message("claim")),
    "strand lost": ("journey.events", without_message("adopt")),
    "sent on, lost": ("journey.events", without_message("event")),
    "sent on twice": ("journey.events", message_twice("event")),
    "move untold": ("journey.transitions", untold_move),
}
"""Fault -> the topic that it spoils, and what becomes of the entries for it."""


def plant_records(customers: Mapping[str, str]) -> None:
    """From now on every transaction is spoiled; `customers`: fault -> whom it is done to."""
    commit = TransactionalWriter.commit

    async def spoiled(writer: TransactionalWriter, outgoing: Sequence[Outgoing]) -> Mapping[tuple[str, int], int]:
        return await commit(
            writer, [out for out in (spoil(out, outgoing, customers) for out in extended(outgoing)) if out.entries]
        )

    setattr(TransactionalWriter, "commit", spoiled)  # noqa: B010 - mypy refuses to assign a method


def extended(outgoing: Sequence[Outgoing]) -> list[Outgoing]:
    """With an empty part for signals, where there are transitions and no signals."""
    topics = {out.topic for out in outgoing}
    missing = [
        Outgoing(signals, out.partition, [])
        for out in outgoing
        if out.topic.endswith("journey.transitions")
        and (signals := out.topic.replace("journey.transitions", "journey.signals")) not in topics
    ]
    return [*outgoing, *missing]


def spoil(out: Outgoing, outgoing: Sequence[Outgoing], customers: Mapping[str, str]) -> Outgoing:
    transitions = b"\n".join(
        entry[1] or b"" for other in outgoing if other.topic.endswith("journey.transitions") for entry in other.entries
    )
    entries = list(out.entries)
    for fault, customer in customers.items():
        topic, change = FAULTS[fault]
        if out.topic.endswith(topic):
            entries = change(entries, customer, transitions)
    return replace(out, entries=entries)


def names(entry: Entry, key: str) -> bool:
    return entry[0] == key.encode()


def tells(entry: Entry, customer: str, kind: str) -> bool:
    """Whether it is such a message to the customer or to their anonymous identity."""
    if not names(entry, customer) and not names(entry, f"anonymous:{customer}"):
        return False
    return bool(msgspec.msgpack.decode(entry[1] or b"")[0] == kind)


def changed(entry: Entry, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Entry:
    key, value, headers = entry
    return key, json.dumps(change(json.loads(value or b""))).encode(), headers
