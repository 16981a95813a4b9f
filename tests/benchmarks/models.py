"""What all built-in journeys at once cost beside one: the simulator's traffic through a lane without Kafka and Redis.

Each journey alone and then all of them fold the same events, in turn, another one first in each round. The profiles
that all of them made are then put into Redis, as a lane does, and weighed there.
"""

import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import redis

from pipeline.adapters.identity_kinds import identities_for_counting
from pipeline.adapters.journey_files import built_in_journeys
from pipeline.application.intake import Source
from pipeline.application.lane_record import KEY, POSITION
from pipeline.config import Settings, load
from pipeline.dev.simulator import BEGINNING, SEED
from pipeline.dev.stack import Stack
from pipeline.dev.traffic import traffic
from pipeline.domain.event import CHANNELS
from pipeline.worker.wiring import compile_rules
from tests.benchmarks.fold import Fetch, InProcess, Read
from tests.benchmarks.lane_tables import Footprint, LaneTables
from tests.benchmarks.results import Models, Stage

EVENTS_A_CUSTOMER = 40
"""Some months of a life: many have bought by then, and fallen silent, and come back."""

A_FETCH = 1_000
"""Events in a fetch, and thus in a transaction: so few that a customer seldom comes with more than one visit."""


@dataclass(frozen=True, slots=True)
class Played:
    """One run: CPU by stage, in µs an event, and the lane as it was in the end."""

    us: Mapping[str, float]
    lane: InProcess


def measure(stack: Stack, events: int, rounds: int, directory: Path, say: Callable[[str], None]) -> Iterator[Models]:
    """One figure a round."""
    names = [path.stem for path in built_in_journeys()]
    choices: list[Sequence[str]] = [*([name] for name in names), names]
    say("making the simulator's traffic")
    fetches = list(fetched(events))
    for number in range(rounds):
        load_average = os.getloadavg()[0]
        played: dict[int, Played] = {}
        for step in range(len(choices)):
            place = (step + number) % len(choices)
            say(f"round {number + 1} of {rounds}: {', '.join(choices[place])}")
            played[place] = play(fetches, settings_of(stack, directory, choices[place]), events)
        *alone, together = [played[place] for place in range(len(choices))]
        footprint = weigh(settings_of(stack, directory, names), together.lane)
        yield Models(
            round=number,
            events=events,
            customers=len(together.lane.stored),
            journeys=len(names),
            alone_us=mean(sum(run.us.values()) for run in alone),
            together_us=sum(together.us.values()),
            alone=[Stage(name, mean(run.us[name] for run in alone)) for name in together.us],
            together=[Stage(name, us) for name, us in together.us.items()],
            redis_bytes_mean=footprint.mean,
            redis_bytes_median=footprint.median,
            load_average=load_average,
        )


def fetched(events: int) -> Iterator[Fetch]:
    """The traffic in fetches, each with the watermark of its last punctuation."""
    sources = {channel: Source(f"raw.{channel}", "raw", channel) for channel in CHANNELS}
    deliveries = islice(traffic(SEED, BEGINNING, events // EVENTS_A_CUSTOMER), events)
    numbered = enumerate(deliveries)
    while taken := list(islice(numbered, A_FETCH)):
        runs: list[tuple[Source, list[Read]]] = []
        for number, delivery in taken:
            source = sources[delivery.channel]
            if not runs or runs[-1][0] is not source:
                runs.append((source, []))
            runs[-1][1].append(Read(number, delivery.at, delivery.key, delivery.value, ()))
        yield Fetch(runs, taken[-1][1].complete)


def play(fetches: Sequence[Fetch], settings: Settings, events: int) -> Played:
    lane = InProcess(compile_rules(settings), identities_for_counting(settings))
    gc.collect()
    for fetch in fetches:
        lane.play(fetch)
    return Played({name: spent / events * 1e6 for name, spent in lane.spent.items()}, lane)


def settings_of(stack: Stack, directory: Path, journeys: Sequence[str]) -> Settings:
    """`make run`'s settings for these journeys."""
    path = directory / "models.yaml"
    path.write_text(f"app_id: models\npartitions: 1\nclock: event\njourneys: [{', '.join(journeys)}]\n")
    return load(path, {"JOURNEY_BROKERS": stack.bootstrap, "JOURNEY_REDIS_URL": stack.redis_url})


def weigh(settings: Settings, lane: InProcess) -> Footprint:
    """The lane's profiles and its index of timers in Redis, and then no more."""
    server: Any = redis.Redis.from_url(settings.redis_url)
    tables, key = LaneTables(settings), settings.table_key(0)
    tables.forget_all()
    server.hset(key, mapping=dict(lane.stored))
    server.hset(key, mapping={KEY: b"{}", POSITION: b"0"})
    server.zadd(f"{key}:due", dict(lane.due))
    footprint = tables.footprint()
    tables.forget_all()
    return footprint
