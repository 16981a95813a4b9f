"""What a lane record says, as samples of metrics."""

from collections.abc import Iterator
from typing import get_args

from pipeline.application.lane_record import LaneRecord
from pipeline.application.metrics import OUTCOME
from pipeline.domain.event import Reason
from pipeline.domain.identity import Ignored
from pipeline.domain.messages import MESSAGES
from pipeline.domain.stitching import Refused

Sample = tuple[str, tuple[str, ...], float]
"""Name of a metric, values of its labels after `lane`, value."""


def samples(record: LaneRecord) -> Iterator[Sample]:
    """Everything of origin `record` that a lane record says."""
    for channel, tally in record.totals.items():
        yield "events_read_total", (channel,), tally.read
        for outcome in OUTCOME.values:
            yield "events_total", (channel, outcome), getattr(tally, outcome)
    yield "commands_read_total", (), record.commands.read
    yield "commands_total", ("obeyed",), record.commands.obeyed
    yield "commands_total", ("dead",), record.commands.dead
    for journey, kinds in record.transitions.items():
        yield from (("transitions_total", (journey, kind), count) for kind, count in kinds.items())
    for journey, names in record.signals.items():
        for name, count in names.items():
            signal, _, kind = name.rpartition(":")
            yield "signals_total", (journey, signal, kind), count
    dead: dict[str, int] = dict.fromkeys(get_args(Reason), 0)  # a rate needs the zero that it began with
    yield from (("dead_letters_total", (reason,), count) for reason, count in (dead | record.dead).items())
    for journey, stages in record.stages.items():
        yield from (("customers", (journey, stage), count) for stage, count in stages.items())
    yield "truncated_total", (), record.truncated
    yield "unclassified_events_total", (), record.unclassified
    yield "old_events_total", (), record.old
    ignored: dict[str, int] = dict.fromkeys(get_args(Ignored), 0)
    yield from (("identities_ignored_total", (why,), count) for why, count in (ignored | record.ignored).items())
    messages: dict[str, int] = dict.fromkeys(MESSAGES, 0)
    yield from (("identity_messages_total", (kind,), count) for kind, count in (messages | record.messages).items())
    refused: dict[str, int] = dict.fromkeys(get_args(Refused), 0)
    yield from (("identity_refusals_total", (why,), count) for why, count in (refused | record.refused).items())
    yield "identities_erased_total", (), record.erased
    yield "timers_parked_total", (), record.parked
    for journey, mark in record.models.items():
        yield "model_version", (journey,), mark.version
        yield "carrying_over", (journey,), journey in record.carrying
    yield "breaker_open", (), record.breaker is not None
    skipped = dict.fromkeys(record.next, 0)
    for skip in record.skipped:
        skipped[skip.topic] = skipped.get(skip.topic, 0) + skip.end - skip.start
    yield from (("skipped_records_total", (topic,), count) for topic, count in skipped.items())
