"""What leaves for subscribers, as JSON: transitions, signals and the customer's present state. See schemas/."""

import orjson

from pipeline.domain.event import CHANNELS
from pipeline.domain.feed import Signal, Transition
from pipeline.domain.history import Entry
from pipeline.domain.identity import Key, public_key
from pipeline.domain.moments import format_moment
from pipeline.domain.profile import Profile


def transition_record(transition: Transition, published_at: str) -> bytes:
    """Transition v1; `published_at` is RFC 3339."""
    customer = public_key(Key(transition.key))
    journey = transition.journey
    entry = transition.entry
    return orjson.dumps(
        {
            "id": f"{customer}:{journey}:{transition.epoch}:{transition.seq}",
            "customer_id": customer,
            "journey": journey,
            "version": transition.version,
            "seq": transition.seq,
            "kind": transition.kind,
            "from": transition.from_ or None,
            "to": transition.to or None,
            "entry": entry_id(customer, journey, entry),
            "supersedes": [entry_id(customer, journey, gone) for gone in transition.supersedes],
            "occurred_at": format_moment(entry.at),
            "published_at": published_at,
            "cause": cause(entry),
        }
    )


def entry_id(customer: str, journey: str, entry: Entry) -> str:
    """The stable id of a history entry: the same rule by the same event or due time has the same id."""
    return f"{customer}:{journey}:{entry.rule}:{entry.event or entry.at}"


def cause(entry: Entry) -> dict[str, object]:
    """What brought the customer there: an event, or the silence since a moment."""
    if entry.event:
        return {"event": {"id": entry.event, "type": entry.type, "channel": entry.channel}, "rule": entry.rule}
    return {"timer": _timer(entry.rule, entry.since, entry.at), "rule": entry.rule}


def _timer(rule: str, since: int, due: int) -> dict[str, str]:
    return {"rule": rule, "since": format_moment(since), "due": format_moment(due)}


def signal_record(signal: Signal, published_at: str) -> bytes:
    """Signal v1."""
    customer = public_key(Key(signal.key))
    return orjson.dumps(
        {
            "id": f"{customer}:{signal.journey}:{signal.signal}:{signal.epoch}:{signal.occurrence}",
            "customer_id": customer,
            "journey": signal.journey,
            "version": signal.version,
            "signal": signal.signal,
            "kind": signal.kind,
            "occurrence": signal.occurrence,
            "due_at": format_moment(signal.due),
            "published_at": published_at,
            "expires_at": None if signal.expires is None else format_moment(signal.expires),
            "expired": signal.expired,
            "overtaken": signal.overtaken,
            "cause": {"timer": _timer(signal.rule, signal.since, signal.due), "rule": signal.rule},
            "stage": signal.stage or None,
        }
    )


def customer_record(profile: Profile, updated_at: str) -> bytes:
    """Customer v1: where the customer is in every journey."""
    strand = profile.strands[0]
    return orjson.dumps(
        {
            "customer_id": public_key(Key(profile.key)),
            "epoch": profile.epoch,
            "journeys": {
                position.journey: {
                    "version": position.version,
                    "stage": position.stage or None,
                    "since": format_moment(position.since) if position.seq and position.since >= 0 else None,
                    "seq": position.seq,
                }
                for position in profile.positions
            },
            "touches": dict(zip(CHANNELS, strand.touches, strict=True)),
            "first_seen": format_moment(strand.first),
            "last_seen": format_moment(strand.newest),
            "merged_into": None,
            "updated_at": updated_at,
        }
    )
