"""Searches every topic and every table for somebody who was erased: what should be gone, and what retention removes.

What is to be found is worked out from the orders on `journey.commands` and from what the lanes told each other on
`journey.events`, as long as these are kept: then other identities of the erased one are looked for as well.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson

from pipeline.adapters.erasing_seen import Tables, names_in
from pipeline.adapters.identity_kinds import identities_for_people
from pipeline.adapters.kafka.logs import Logs
from pipeline.adapters.kafka.metadata import EARLIEST, LATEST
from pipeline.adapters.kafka.topic_admin import topic_admin
from pipeline.adapters.topic_files import Role
from pipeline.application.lane_record import decode_lane
from pipeline.application.ports import Doubt, Record
from pipeline.config import Settings
from pipeline.domain.encoding import decode
from pipeline.domain.event import Invalid, RawEvent, named
from pipeline.domain.identity import Identities, Key, public_key
from pipeline.domain.messages import Forget, decode_message
from pipeline.domain.packing import Names
from pipeline.domain.profile import life_of
from pipeline.errors import UserError

_raw = msgspec.json.Decoder(RawEvent).decode
COMPACTED: Final[frozenset[Role]] = frozenset(("table", "changelog", "progress"))


@dataclass(frozen=True, slots=True)
class Rest:
    """Something of an erased identity that should be gone."""

    where: str
    what: str


@dataclass(slots=True)
class Kept:
    """Records of a topic that name somebody erased, and go by themselves: how many, the newest (ms), and the setting
    of the topic on the broker that removes them; None where nothing does."""

    topic: str
    records: int
    newest: int
    setting: str
    after_ms: int | None


@dataclass(slots=True)
class Searched:
    """What a search has found. `identities`: who was looked for, by key; `back`: who of them has come back since."""

    identities: list[Key]
    erased_at: int | None
    back: list[Key] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    fields: int = 0
    records: int = 0


@dataclass(slots=True)
class _Log:
    """All records of one partition. `names`: whom each is about, as public keys."""

    topic: str
    role: Role
    lane: int
    records: list[Record] = field(default_factory=list)


def search(settings: Settings, key: Key) -> Searched:
    """Looks for an identity and for all who were erased with it; UserError if Kafka or Redis does not answer."""
    try:
        logs, configs = asyncio.run(_read(settings))
    except Doubt as doubt:
        raise UserError(f"could not search: {doubt}", 1) from None
    with Tables(settings) as tables:
        found = tables.find(key)
        searched = Searched([key], None if found.mark is None else found.mark.at)
        _know_others(tables, logs, key, searched)
        _search_tables(tables, searched)
    gone = {each for each in searched.identities if each not in searched.back}
    identities = identities_for_people(settings)
    for topic in dict.fromkeys(log.topic for log in logs):
        _search_topic([log for log in logs if log.topic == topic], configs[topic], identities, gone, searched)
    return searched


async def _read(settings: Settings) -> tuple[list[_Log], Mapping[str, Mapping[str, str]]]:
    async with topic_admin(settings) as topics:
        there = await topics.found()
        plans = [plan for plan in topics.plans if plan.name in there]
    logs = [_Log(plan.name, plan.file.role, lane) for plan in plans for lane in range(there[plan.name].partitions)]
    async with Logs(settings, "search") as reader:
        places = [(log.topic, log.lane) for log in logs]
        starts, ends = await reader.bounds(places, EARLIEST), await reader.bounds(places, LATEST)
        for log in logs:
            place = log.topic, log.lane
            async for records in reader.read(*place, starts[place], ends[place]):
                log.records += records
    return logs, {name: found.config for name, found in there.items()}


def _know_others(tables: Tables, logs: Sequence[_Log], key: Key, searched: Searched) -> None:
    """Who was erased along, by what the lanes have told each other."""
    identities = identities_for_people(tables.settings)
    gone, known = {str(key)}, True
    told = [(record, _message(record)) for log in logs if log.role == "events" for record in log.records]
    while known:
        known = False
        for record, message in told:
            if isinstance(message, Forget) and message.owner in gone:
                name = identities.typed((record.key or b"").decode())
                if name not in gone and _is_erased(tables, name, message.at):
                    gone.add(name)
                    known = True
    searched.identities += sorted(Key(name) for name in gone - {key})


def _is_erased(tables: Tables, key: Key, at: int) -> bool:
    """Whether it has a mark of that moment: one that only heard of it has none."""
    mark = tables.find(key).mark
    return mark is not None and mark.at >= at


def _search_tables(tables: Tables, searched: Searched) -> None:
    settings, gone = tables.settings, set(searched.identities)
    for key in searched.identities:
        found = tables.find(key)
        where = f"{settings.table_key(found.lane)} {public_key(key)}"
        if found.profile is not None:
            if found.mark is None or life_of(found.profile) < found.mark.at:
                searched.rests.append(Rest(where, "its record"))
            else:
                searched.back.append(key)
    gone -= set(searched.back)
    for lane in range(settings.partitions):
        table = tables.reader.whole(lane)
        searched.fields += len(table.fields)
        for each in sorted(gone):
            if each.encode() in table.due:
                searched.rests.append(Rest(f"{table.name} {public_key(each)}", "its timers"))
        record = decode_lane(table.fields[b"@lane"]) if b"@lane" in table.fields else None
        for each in sorted(gone & set(record.parked_by if record else ())):
            searched.rests.append(Rest(f"{table.name} @lane", f"names {public_key(each)}, whose timers are parked"))
    for lane, profile in tables.profiles():
        for name in sorted(gone & {Key(name) for name in names_in(profile)}):
            where = f"{settings.table_key(lane)} {public_key(Key(profile.key))}"
            searched.rests.append(Rest(where, f"names {public_key(name)}"))


def _search_topic(
    logs: Sequence[_Log], config: Mapping[str, str], identities: Identities, gone: set[Key], searched: Searched
) -> None:
    role = logs[0].role
    compacted = role in COMPACTED
    setting = "max.compaction.lag.ms" if compacted else "retention.ms"
    after = int(config.get(setting, "-1"))
    kept = Kept(logs[0].topic, 0, 0, setting, after if 0 <= after < 1 << 62 else None)
    for log in logs:
        searched.records += len(log.records)
        last = {record.key: record.offset for record in log.records} if compacted else {}
        names = Names(_names_of(log)) if role == "changelog" else None
        for record in log.records:
            about = _names(role, record, identities, names) & gone
            if not about:
                continue
            if last.get(record.key) == record.offset and record.value is not None:
                what = f"still there, about {', '.join(map(public_key, sorted(about)))}"
                searched.rests.append(Rest(f"{log.topic}-{log.lane}@{record.offset}", what))
                continue
            kept.records += 1
            kept.newest = max(kept.newest, record.timestamp)
    if kept.records:
        searched.kept.append(kept)


def _names(role: Role, record: Record, identities: Identities, names: Names | None) -> set[Key]:
    """Whom a record is about, as far as it can be read."""
    key = (record.key or b"").decode(errors="replace")
    if role == "changelog":
        if key.startswith("@") or record.value is None or names is None:
            return {Key(key)}
        try:
            profile = decode(record.value, names)
        except msgspec.MsgspecError:
            return {Key(key)}
        return {Key(key), *map(Key, names_in(profile))}
    if role == "events":
        return {_typed(identities, key), *_told(record)}
    if role in ("input", "dead-letters"):
        return _sent(record, identities)
    return {_typed(identities, key), *(_typed(identities, each) for each in _said(record))}


def _typed(identities: Identities, public: str) -> Key:
    try:
        return identities.typed(public)
    except ValueError:
        return Key("")


def _message(record: Record) -> Any:
    try:
        return decode_message(record.value or b"")
    except msgspec.DecodeError:
        return None


def _told(record: Record) -> Iterator[Key]:
    """All texts in a message that could be keys."""
    message = _message(record)
    for each in () if message is None else msgspec.structs.astuple(message):
        for name in each if isinstance(each, tuple) else (each,):
            if isinstance(name, str):
                yield Key(name)


def _sent(record: Record, identities: Identities) -> set[Key]:
    try:
        who = named(_raw(record.value or b""), identities)
    except (msgspec.DecodeError, UnicodeDecodeError, Invalid):
        return set()
    return {who.primary, *who.others}


def _said(record: Record) -> Iterator[str]:
    """The public keys in a record of ours that is JSON."""
    try:
        said = orjson.loads(record.value or b"{}")
    except orjson.JSONDecodeError:
        return
    if not isinstance(said, dict):
        return
    cause = said.get("cause")
    link = cause.get("link") if isinstance(cause, dict) else None
    for where in (said, link if isinstance(link, dict) else {}):
        for name in ("customer_id", "into", "merged_into", "identity", "customer"):
            if isinstance(where.get(name), str):
                yield where[name]
    mentioned = said.get("mentioned")
    yield from mentioned if isinstance(mentioned, list) else ()


def _names_of(log: _Log) -> Sequence[str]:
    """By which the profiles of a lane are written: its list only grows."""
    for record in reversed(log.records):
        if record.key == b"@lane" and record.value is not None:
            return decode_lane(record.value).names
    return ()
