"""What leaves for subscribers, as JSON: transitions, signals and the customer's present state. See schemas/."""

import orjson

from pipeline.domain.carry import MOVED
from pipeline.domain.event import CHANNELS
from pipeline.domain.extremes import NEVER
from pipeline.domain.feed import Signal, Transition
from pipeline.domain.history import Entry
from pipeline.domain.identity import Key, public_key
from pipeline.domain.moments import format_moment
from pipeline.domain.profile import Profile, Strand, new_strand
from pipeline.domain.uniting import LINKED

# Records are put together as text: making dicts for a JSON encoder costs twice as much.

_REMEMBERED = 10_000
_UNVERIFIED = ',"unverified":true'
_names: dict[str, str] = {}


def transition_record(transition: Transition, published_at: str) -> bytes:
    """Transition v1; `published_at` is RFC 3339."""
    customer = escaped(public_key(Key(transition.key)))
    journey = _name(transition.journey)
    epoch, version, seq = transition.epoch, transition.version, transition.seq
    entry: Entry = transition.entry
    supersedes = ""
    if transition.supersedes:
        supersedes = ",".join([f'"{_entry_id(customer, journey, gone)}"' for gone in transition.supersedes])
    into = ""
    if transition.kind == "moved" and entry.rule == LINKED:
        into = f',"into":"{_public(entry.channel)}"'
    text = (
        f'{{"id":"{customer}:{journey}:{epoch}:{seq}",'
        f'"customer_id":"{customer}","journey":"{journey}","version":{version},"seq":{seq},'
        f'"kind":"{transition.kind}","from":{_or_null(transition.from_)},"to":{_or_null(transition.to)},'
        f'"entry":"{_entry_id(customer, journey, entry)}","supersedes":[{supersedes}],'
        f'"occurred_at":"{format_moment(entry.at)}","published_at":"{published_at}","cause":{_cause(entry)}{into}}}'
    )
    return text.encode()


def signal_record(signal: Signal, published_at: str) -> bytes:
    """Signal v1."""
    customer = escaped(public_key(Key(signal.key)))
    journey, name, rule = _name(signal.journey), _name(signal.signal), _name(signal.rule)
    epoch, version, occurrence = signal.epoch, signal.version, signal.occurrence
    due = format_moment(signal.due)
    expires = "null" if signal.expires is None else f'"{format_moment(signal.expires)}"'
    text = (
        f'{{"id":"{customer}:{journey}:{name}:{epoch}:{occurrence}","customer_id":"{customer}",'
        f'"journey":"{journey}","version":{version},"signal":"{name}","kind":"{signal.kind}",'
        f'"occurrence":{occurrence},"due_at":"{due}","published_at":"{published_at}","expires_at":{expires},'
        f'"expired":{"true" if signal.expired else "false"},"overtaken":{"true" if signal.overtaken else "false"},'
        f'"cause":{{"timer":{{"rule":"{rule}","since":"{format_moment(signal.since)}","due":"{due}"}},'
        f'"rule":"{rule}"}},"stage":{_or_null(signal.stage)}}}'
    )
    return text.encode()


def customer_record(profile: Profile, updated_at: str) -> bytes:
    """Customer v1: where the customer is in every journey."""
    strand = _one_of(profile)
    journeys: list[str] = []
    for position in profile.positions:
        since = "null"
        if position.seq and position.since >= 0:
            since = f'"{format_moment(position.since)}"'
        journeys.append(
            f'"{_name(position.journey)}":{{"version":{position.version},"stage":{_or_null(position.stage)},'
            f'"since":{since},"seq":{position.seq}{_UNVERIFIED if position.unverified else ""}}}'
        )
    touches = ",".join([f'"{channel}":{count}' for channel, count in zip(CHANNELS, strand.touches, strict=True)])
    merged_into = f'"{_public(profile.to)}"' if profile.to else "null"
    text = (
        f'{{"customer_id":"{escaped(public_key(Key(profile.key)))}","epoch":{profile.epoch},'
        f'"journeys":{{{",".join(journeys)}}},"touches":{{{touches}}},'
        f'"first_seen":{_moment_or_null(strand.first)},"last_seen":{_moment_or_null(strand.newest)},'
        f'"merged_into":{merged_into},"updated_at":"{updated_at}"}}'
    )
    return text.encode()


def entry_id(customer: str, journey: str, entry: Entry) -> str:
    """The stable id of a history entry: the same rule by the same event or due time has the same id.

    No two entries of a history share it, whatever identities it is of: an event makes one entry of a journey at most,
    and silence leads nobody back within one moment, since a journey in which it goes round is refused.
    """
    return f"{customer}:{journey}:{entry.rule}:{entry.event or entry.at}"


def escaped(text: str) -> str:
    """What stands between the quotes of a JSON string."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return orjson.dumps(text)[1:-1].decode()


def _name(text: str) -> str:
    """The same of a name that comes again and again."""
    found = _names.get(text)
    if found is None:
        if len(_names) >= _REMEMBERED:
            _names.clear()
        found = _names[text] = escaped(text)
    return found


def _entry_id(customer: str, journey: str, entry: Entry) -> str:
    """The same, escaped; `customer` and `journey` are."""
    event: str = entry.event
    return f"{customer}:{journey}:{_name(entry.rule)}:{escaped(event) if event else entry.at}"


def _one_of(profile: Profile) -> Strand:
    """What all strands together have counted, as one."""
    strands = profile.strands
    if len(strands) == 1:
        only: Strand = strands[0]
        return only
    total = new_strand(profile.frame, profile.key)
    for strand in strands:
        if strand.newest != NEVER:
            total.first = strand.first if total.first == NEVER else min(total.first, strand.first)
            total.newest = max(total.newest, strand.newest)
            total.touches = tuple([one + more for one, more in zip(total.touches, strand.touches, strict=True)])
    return total


def _public(key: str) -> str:
    return escaped(public_key(Key(key)))


def _cause(entry: Entry) -> str:
    """What brought the customer there: an event, the silence since a moment, another version of the journey, a link."""
    rule = _name(entry.rule)
    if entry.rule == LINKED:
        return f'{{"link":{{"change":"{entry.type}","identity":"{_public(entry.channel)}"}},"rule":"{LINKED}"}}'
    if entry.rule == MOVED:
        return f'{{"version":{{"from":{entry.since},"way":"{entry.type}"}},"rule":"{MOVED}"}}'
    if entry.event:
        return (
            f'{{"event":{{"id":"{escaped(entry.event)}","type":"{_name(entry.type)}","channel":"{entry.channel}"}},'
            f'"rule":"{rule}"}}'
        )
    since, due = format_moment(entry.since), format_moment(entry.at)
    return f'{{"timer":{{"rule":"{rule}","since":"{since}","due":"{due}"}},"rule":"{rule}"}}'


def _moment_or_null(at: int) -> str:
    return "null" if at == NEVER else f'"{format_moment(at)}"'


def _or_null(name: str) -> str:
    return f'"{_name(name)}"' if name else "null"
