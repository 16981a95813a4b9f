"""The end of a run: all comes to rest, and is held against the plain fold and against what was seen on the way."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tests.chaos.silences import false_silences
from tests.chaos.traffic import LONGEST_SILENCE_MS
from tests.chaos.world import World
from tests.harness import reading
from tests.harness.judging import Verdict, accepted_acts
from tests.harness.waiting import until

GRACE_MS = 1_000
"""That of every channel in the settings of the run."""

REST_S = 120.0
"""How long it may take until all is done, once nothing more is sent: longer than any backlog of a run."""

CHECK_S = 900.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Figures (`checked`: those of `journey check`), and by kind everything that is wrong, in words."""

    events: Mapping[str, int]
    published: Mapping[str, int]
    checked: Mapping[str, int]
    wrong: Mapping[str, list[str]]


def judge(world: World) -> Judgement:
    """The judgement of a run whose faults are over."""
    unfinished: list[str] = []
    world.pool.complete()

    def tried(step: Callable[[], T]) -> T | None:
        """Its answer; None if it does not come, which is wrong, but the rest is judged all the same."""
        try:
            return step()
        except AssertionError as error:
            unfinished.append(str(error))
            return None

    watermark = _rest(world, tried)
    verdict = tried(lambda: world.app.judge(watermark))
    checked, findings = _check(world)
    return Judgement(
        events={} if verdict is None else _events(verdict),
        published={} if verdict is None else _published(verdict),
        checked=checked,
        wrong={
            **({} if verdict is None else _wrong(verdict)),
            "gaps, as they were seen": world.follower.problems,
            "false silence": tried(lambda: _silences(world)) or [],
            "I4, went back": world.watch.back,
            "I4, not committed": world.watch.uncommitted,
            "not recovered": [*world.problems, *unfinished],
            "workers": world.pool.problems,
            "journey check": findings,
        },
    )


def _check(world: World) -> tuple[Mapping[str, int], list[str]]:
    """The figures of `journey check`, and what it found; its exit status counts."""
    done = world.app.command("check", "--json", "--examples", "5", within_s=CHECK_S)
    if done.returncode not in {0, 1} or not done.stdout:
        return {}, [f"it ended with {done.returncode}: {done.stderr[-1000:]}"]
    said = json.loads(done.stdout)
    findings = [f"{each['invariant']} {each['kind']} at {each['where']}: {each['what']}" for each in said["examples"]]
    if done.returncode and not findings:
        findings = [f"it ended with {done.returncode} and told no example"]
    return {**said["checked"], **{f"not judged: {what}": n for what, n in said["unjudged"].items()}}, findings


def _rest(world: World, tried: Callable[[Callable[[], object]], object]) -> int | None:
    """Waits until all that was sent is done, time has passed over it, and those who looked on have seen it.

    The watermark; None if time stood still.
    """
    app, watch = world.app, world.watch
    world.traffic.stop()

    def complete() -> bool:
        world.look_after()
        return world.pool.all_run()

    deadline = time.monotonic() + REST_S

    def left() -> float:
        """Seconds; a little for each step, also if an earlier one has failed."""
        return max(deadline - time.monotonic(), 5.0)

    tried(lambda: until(complete, lambda: f"every lane runs\n{app.tails()}", left()))
    tried(lambda: app.until_accounted(left()))
    beyond = LONGEST_SILENCE_MS + 2 * GRACE_MS
    watermark = tried(lambda: app.until_time_has_passed(world.pool.running[0], left(), beyond))
    tried(lambda: until(lambda: not watch.unsettled, "Redis and the changelog have all that was seen", left()))
    world.reader.stop()
    tried(lambda: until(lambda: not watch.unsettled, "the changelog has all that was read of Redis", left()))
    world.follower.stop()
    return watermark if isinstance(watermark, int) else None


def _events(verdict: Verdict) -> dict[str, int]:
    return {
        "records": verdict.sent,
        "customers": verdict.customers,
        "duplicates": verdict.duplicates,
        "late": verdict.late,
        "routed": verdict.routed,
    }


def _published(verdict: Verdict) -> dict[str, int]:
    return {
        "transitions": verdict.transitions,
        "corrections": verdict.corrections,
        "signals": verdict.signals,
        "dead letters": verdict.dead,
    }


def _wrong(verdict: Verdict) -> dict[str, list[str]]:
    return {
        "lost": list(verdict.lost),
        "not so": list(verdict.wrong),
        "doubled": list(verdict.doubled),
        "gaps": list(verdict.gaps),
        "torn": list(verdict.totals),
        "Redis unlike the changelog": list(verdict.tables),
    }


def _silences(world: World) -> list[str]:
    app = world.app
    published = reading.read_committed(app.settings, "journey.transitions", "journey.signals")
    said = [(message.appended, json.loads(message.value or b"")) for message in published]
    return false_silences(accepted_acts(app.settings, app.sender.ledger), said, GRACE_MS)
