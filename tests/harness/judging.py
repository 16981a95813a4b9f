"""The judge: `journey check` over all that was published and stored, and the ledger of what was sent."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.checker.findings import Findings
from pipeline.checker.lane_changelog import published, summed
from pipeline.checker.plain_admission import Act, accepted, act_of
from pipeline.cli.check_lane import rules_of
from pipeline.cli.check_run import check
from pipeline.config import Settings
from tests.harness.reading import read_committed
from tests.harness.sending import Sent

SHOWN = 8
"""How many findings of a kind are told."""

ALL = 1_000_000

UNJUDGED = ("order of arrival", "not looked at yet", "lost its beginning", "under way")
"""What may not be left unjudged where everything is at rest."""


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

    What is told of the customers `without` is not compared with the fold.
    """
    checked = check(settings, jobs=1, kept=ALL, without=sorted(without), watermark=watermark)
    findings, records = checked.findings, list(checked.records.values())

    def total(outcome: str) -> int:
        return sum(summed(record, outcome) for record in records)

    return Verdict(
        sent=len(ledger),
        customers=findings.checked["customers"],
        transitions=sum(published(record, "transitions") for record in records),
        corrections=sum(
            n
            for record in records
            for by_kind in record["transitions"].values()
            for kind, n in by_kind.items()
            if kind != "entered"
        ),
        signals=sum(published(record, "signals") for record in records),
        dead=sum(n for record in records for n in record["dead"].values()),
        routed=total("routed"),
        duplicates=total("duplicate"),
        late=total("late"),
        lost=findings.of("lost", "owner"),
        wrong=[*findings.of("wrong", "silence"), *_unjudged(findings)],
        doubled=findings.of("doubled"),
        gaps=findings.of("gap"),
        totals=[*findings.of("totals", "torn"), *_against_ledger(settings, ledger, checked.records)],
        tables=findings.of("table", "ahead", "profile", "customer"),
    )


def _unjudged(findings: Findings) -> list[str]:
    return [
        f"not judged: {number} {what}"
        for what, number in findings.unjudged.items()
        if any(words in what for words in UNJUDGED)
    ]


def _against_ledger(settings: Settings, ledger: Sequence[Sent], records: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """Whether the lanes have read all that was sent and nothing else; what they made of it is the check's business."""
    wrong = [
        f"{sent.topic}-{sent.partition}@{sent.offset} was sent and is not read"
        for sent in ledger
        if sent.offset >= records[sent.partition]["next"].get(settings.topic(sent.topic), 0)
    ]
    events = sum(not sent.is_command for sent in ledger)
    read, routed = (sum(summed(record, name) for record in records.values()) for name in ("read", "routed"))
    if read != events + routed:
        wrong.append(f"{read} read, {events} sent and {routed} routed")
    commands = sum(record["commands"]["read"] for record in records.values())
    if commands != len(ledger) - events:
        wrong.append(f"{commands} commands read, {len(ledger) - events} sent")
    letters = read_committed(settings, "journey.dlq")
    reasons = Counter((letter.headers["journey.reason"] or b"").decode() for letter in letters)
    wanted = Counter(sent.dead for sent in ledger if sent.dead is not None)
    if reasons != wanted:
        wrong.append(f"dead letters: {dict(reasons)}, expected {dict(wanted)}")
    return wrong


def accepted_acts(settings: Settings, ledger: Sequence[Sent]) -> Mapping[str, Sequence[Act]]:
    """By customer the acts of the ledger that count, in the order in which they are folded."""
    rows = rules_of(settings).rows
    arrivals: dict[str, list[Act]] = defaultdict(list)
    for sent in ledger:
        if sent.dead is None and sent.event is not None:
            act = act_of(sent.event, sent.channel, rows, sent.appended, sent.partition, sent.offset)
            arrivals[_customer(sent.event)].append(act)
    return {
        customer: accepted(arrived, settings.lateness, settings.recent_limit) for customer, arrived in arrivals.items()
    }


def _customer(event: Mapping[str, Any]) -> str:
    return str(event["customer_id"]) if event.get("customer_id") else f"anonymous:{event['identities']['anonymous']}"
