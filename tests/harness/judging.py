"""The judge: all that was sent through the plain fold, against all that was published and stored."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.application.lane_record import LaneRecord
from pipeline.checker import plain_fold
from pipeline.checker.net_history import Subscriber
from pipeline.checker.plain_admission import Act, Admission, act_of
from pipeline.checker.plain_journey import Journey, read_file, read_journey
from pipeline.checker.plain_touches import Row, read_touches
from pipeline.config import Settings
from pipeline.domain import profile
from pipeline.domain.moments import format_moment
from tests.harness.reading import LANE, Message, Table, lane_records_in, log_ends, read_by_topic, read_tables
from tests.harness.sending import Sent

SHOWN = 8
"""How many findings of a kind are told."""

MODELS = Path(plain_fold.__file__).parents[1] / "models"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of a run, and everything that is wrong with it.

    `lost`: entries and signals that should be known to a subscriber and are not. `doubled`: records published twice.
    `wrong`: known and should not be. `gaps`: breaches of the feed's own promises, gaps in a seq among them.
    """

    sent: int
    customers: int
    transitions: int
    corrections: int
    signals: int
    dead: int
    routed: int
    duplicates: int
    late: int
    lost: Sequence[str]
    wrong: Sequence[str]
    doubled: Sequence[str]
    gaps: Sequence[str]
    totals: Sequence[str]
    tables: Sequence[str]

    def __str__(self) -> str:
        return (
            f"{self.sent} records sent, {self.customers} customers; {self.transitions} transitions "
            f"({self.corrections} of them corrections), {self.signals} signals, {self.dead} dead letters; "
            f"{self.routed} routed, {self.duplicates} duplicates, {self.late} late; "
            f"lost {len(self.lost)}, wrong {len(self.wrong)}, doubled {len(self.doubled)}, gaps {len(self.gaps)}, "
            f"totals off {len(self.totals)}, Redis unlike the changelog {len(self.tables)}"
        )

    def assert_right(self) -> None:
        """AssertionError with the first findings of each kind."""
        found = {
            name: list(getattr(self, name))[:SHOWN] for name in ("lost", "wrong", "doubled", "gaps", "totals", "tables")
        }
        assert not any(found.values()), f"{self}\n" + "\n".join(
            f"{name}: {line}" for name, lines in found.items() for line in lines
        )


def judge(settings: Settings, ledger: Sequence[Sent], watermark: int | None, without: Collection[str] = ()) -> Verdict:
    """The verdict on an application at rest, whose lanes have let time pass up to `watermark` (ms).

    The ledger must be in an order in which it may have arrived, as far as that decides (late events, that is). What is
    told of the customers `without` is not compared with the fold.
    """
    # First, so that Redis may be behind what is read of the changelog, and never ahead of it.
    tables = read_tables(settings)
    published = read_by_topic(settings, "journey.transitions", "journey.signals", "journey.dlq", "journey.profiles")
    transitions, signals, letters, changelog = published
    subscriber, doubled, gaps = _subscribe(transitions, signals)
    expected = _Expected(settings, ledger, watermark, frozenset(without))
    lost, wrong = expected.differences(subscriber)
    records = lane_records_in(settings, changelog)
    outcomes: Counter[str] = Counter()
    for record in records.values():
        for tally in record.totals.values():
            for outcome in ("read", "folded", "duplicate", "routed", "late", "dead"):
                outcomes[outcome] += getattr(tally, outcome)
    totals = _totals(settings, ledger, records, transitions, signals, letters)
    return Verdict(
        sent=len(ledger),
        customers=len(expected.acts),
        transitions=len(transitions),
        corrections=sum(_said(each)["kind"] != "entered" for each in transitions),
        signals=len(signals),
        dead=len(letters),
        routed=outcomes["routed"],
        duplicates=outcomes["duplicate"],
        late=outcomes["late"],
        lost=lost,
        wrong=wrong,
        doubled=doubled,
        gaps=gaps,
        totals=[*totals, *expected.outcome_differences(outcomes)],
        tables=_compare_tables(tables, changelog),
    )


class _Expected:
    """What the plain fold makes of the ledger."""

    def __init__(
        self, settings: Settings, ledger: Sequence[Sent], watermark: int | None, without: frozenset[str]
    ) -> None:
        rows, self._journeys = read_models(settings)
        self._watermark = watermark
        self._without = without
        self.acts: dict[str, list[Act]] = {}
        self.outcomes: Counter[str] = Counter()
        arrivals: dict[str, list[Act]] = defaultdict(list)
        for sent in ledger:
            if sent.dead is not None or sent.is_command:
                self.outcomes["dead"] += not sent.is_command
                continue
            assert sent.event is not None, f"{sent.topic}-{sent.partition}@{sent.offset} is neither an event nor dead"
            act = act_of(sent.event, sent.channel, rows, sent.appended, sent.partition, sent.offset)
            arrivals[_customer(sent.event)].append(act)
        names = {"accepted": "folded", "duplicate": "duplicate", "late": "late"}
        for customer, arrived in arrivals.items():
            admission = Admission(settings.lateness, settings.recent_limit)
            kinds = [admission.arrive(act) for act in arrived]
            assert not admission.truncated, f"{customer} has too many events: the order of arrival would decide"
            self.outcomes.update(names[kind] for kind in kinds)
            self.acts[customer] = sorted(act for act, kind in zip(arrived, kinds, strict=True) if kind == "accepted")

    def differences(self, subscriber: Subscriber) -> tuple[list[str], list[str]]:
        """What a subscriber should know and does not, and what one knows and should not."""
        wanted: dict[str, object] = {}
        for customer in self.acts.keys() - self._without:
            for journey in self._journeys:
                wanted.update(self._of_customer(customer, journey))
        known: dict[str, object] = {}
        for (customer, journey_name), track in subscriber.tracks.items():
            if customer in self._without:
                continue
            known.update({entry: tuple(value) for entry, value in track.entries.items()})
            known[f"stage of {customer} in {journey_name}"] = track.stage
        for (customer, journey_name, name), signals in subscriber.signals.items():
            if customer not in self._without:
                for due in signals.holding.values():
                    known[f"signal {customer}:{journey_name}:{name} of {due}"] = True
        missing = [f"{what}: {value}" for what, value in wanted.items() if known.get(what) != value]
        surplus = [f"{what}: {value}" for what, value in known.items() if wanted.get(what) != value]
        return sorted(missing), sorted(surplus)

    def outcome_differences(self, outcomes: Mapping[str, int]) -> list[str]:
        """Whether each event had the outcome that the rules give it. Only sums: the lanes may take turns."""
        return [
            f"{outcome}: {outcomes[outcome]} in the lane records, {self.outcomes[outcome]} by the plain fold"
            for outcome in ("folded", "duplicate", "late", "dead")
            if outcomes[outcome] != self.outcomes[outcome]
        ]

    def _of_customer(self, customer: str, journey: Journey) -> dict[str, object]:
        position = plain_fold.fold(journey, self.acts[customer], self._watermark)
        wanted: dict[str, object] = {
            entry: (format_moment(at), to)
            for entry, (at, to) in plain_fold.net_history(customer, journey, position).items()
        }
        if position.history:
            wanted[f"stage of {customer} in {journey.name}"] = position.stage
        signals = {silence.rule: silence.signal for silence in journey.silences}
        for firing in position.signals:
            wanted[f"signal {customer}:{journey.name}:{signals[firing.rule]} of {format_moment(firing.due)}"] = True
        return wanted


def accepted_acts(settings: Settings, ledger: Sequence[Sent]) -> Mapping[str, Sequence[Act]]:
    """By customer the acts of the ledger that count, in the order in which they are folded."""
    return _Expected(settings, ledger, None, frozenset()).acts


def read_models(settings: Settings) -> tuple[Sequence[Row], Sequence[Journey]]:
    """The touch table and the journeys of the settings, as the checker reads them."""
    grace = settings.grace if settings.clock == "live" else {}
    rows = read_touches(read_file(_model(settings.touches)))
    return rows, [read_journey(read_file(_model(name)), rows, grace) for name in settings.journeys]


def _model(name: str) -> Path:
    return Path(name) if name.endswith(".yaml") else MODELS / f"{name}.yaml"


def _customer(event: Mapping[str, Any]) -> str:
    return str(event["customer_id"]) if event.get("customer_id") else f"anonymous:{event['identities']['anonymous']}"


def _said(message: Message) -> dict[str, Any]:
    return dict(json.loads(message.value or b""))


def _subscribe(
    transitions: Iterable[Message], signals: Iterable[Message]
) -> tuple[Subscriber, Sequence[str], Sequence[str]]:
    """What a subscriber of both feeds knows, the records that were published twice, and all other complaints."""
    subscriber = Subscriber()
    seen: Counter[str] = Counter()
    for message in transitions:
        said = _said(message)
        seen[said["id"]] += 1
        subscriber.transition(said)
    for message in signals:
        said = _said(message)
        seen[f"{said['id']} {said['kind']}"] += 1
        subscriber.signal(said)
    doubled = [f"{identifier} {times} times" for identifier, times in seen.items() if times > 1]
    return subscriber, doubled, subscriber.at_rest()


def _totals(
    settings: Settings,
    ledger: Sequence[Sent],
    records: Mapping[int, LaneRecord],
    transitions: Sequence[Message],
    signals: Sequence[Message],
    letters: Sequence[Message],
) -> list[str]:
    """I7, and that the lane records count what is really there."""
    wrong: list[str] = []
    read = routed = 0
    for lane, record in records.items():
        for channel, tally in record.totals.items():
            read += tally.read
            routed += tally.routed
            became = tally.folded + tally.duplicate + tally.routed + tally.late + tally.dead
            if tally.read != became:
                wrong.append(f"lane {lane} {channel}: {tally.read} read, {became} accounted for")
    events = sum(not sent.is_command for sent in ledger)
    if read != events + routed:
        wrong.append(f"{read} read, {events} sent and {routed} routed")
    commands = sum(record.commands.read for record in records.values())
    if commands != len(ledger) - events:
        wrong.append(f"{commands} commands read, {len(ledger) - events} sent")
    said = {"transitions": transitions, "signals": signals, "dead": letters}
    for name, counted in (
        ("transitions", sum(n for r in records.values() for by in r.transitions.values() for n in by.values())),
        ("signals", sum(n for r in records.values() for by in r.signals.values() for n in by.values())),
        ("dead", sum(n for r in records.values() for n in r.dead.values())),
    ):
        if counted != len(said[name]):
            wrong.append(f"{name}: {counted} in the lane records, {len(said[name])} in the topic")
    reasons = Counter((message.headers["journey.reason"] or b"").decode() for message in letters)
    wanted = Counter(sent.dead for sent in ledger if sent.dead is not None)
    if reasons != wanted:
        wrong.append(f"dead letters: {dict(reasons)}, expected {dict(wanted)}")
    inputs = [item.topic for item in settings.inputs] + ["journey.events"]
    for (topic, partition), end in log_ends(settings, inputs, committed=True).items():
        position = records[partition].next.get(topic, 0)
        # Behind the last record there may be markers, which nothing is committed for.
        if position > end:
            wrong.append(f"lane {partition} stands at {topic}@{position}, the log ends at {end}")
    return [*wrong, *_stages(records, transitions)]


def _stages(records: Mapping[int, LaneRecord], transitions: Sequence[Message]) -> list[str]:
    """Customers by stage as the lane records count them, against the last transition of each customer."""
    last: dict[tuple[str, str], str | None] = {}
    for message in transitions:
        said = _said(message)
        last[said["customer_id"], said["journey"]] = said["to"]
    wanted = Counter((journey, to) for (_, journey), to in last.items() if to)
    counted: Counter[tuple[str, str]] = Counter()
    for record in records.values():
        for journey, stages in record.stages.items():
            counted.update({(journey, stage): number for stage, number in stages.items() if number})
    return [] if counted == wanted else [f"customers by stage: {dict(counted)}, expected {dict(wanted)}"]


def _compare_tables(tables: Mapping[int, Table], changelog: Iterable[Message]) -> list[str]:
    """I5: Redis is the changelog up to `@pos`, byte for byte, and the index is what the profiles say."""
    wrong: list[str] = []
    logs: dict[int, list[Message]] = defaultdict(list)
    for message in changelog:
        logs[message.partition].append(message)
    for lane, table in tables.items():
        records = [record for record in logs[lane] if record.offset <= table.offset]
        if records and (records[-1].offset != table.offset or records[-1].key != LANE):
            wrong.append(f"lane {lane}: @pos {table.offset} is not that of a lane record")
        fields: dict[bytes, bytes] = {}
        for record in records:
            if record.value is None:
                fields.pop(record.key or b"", None)
            else:
                fields[record.key or b""] = record.value
        wrong += [
            f"lane {lane}: {key.decode(errors='replace')} differs"
            for key in sorted(fields.keys() | table.fields.keys())
            if fields.get(key) != table.fields.get(key)
        ]
        indexed = {
            key: at
            for key, value in fields.items()
            if key != LANE and (at := profile.decode(value).indexed) is not None
        }
        wrong += [
            f"lane {lane}: the index has {table.due.get(key)} for {key.decode()}, the profile {indexed.get(key)}"
            for key in sorted(indexed.keys() | table.due.keys())
            if indexed.get(key) != table.due.get(key)
        ]
        wrong += [
            f"lane {lane}: changelog goes back from {one.offset} to {two.offset}"
            for one, two in pairwise(records)
            if two.offset <= one.offset
        ]
    return wrong
