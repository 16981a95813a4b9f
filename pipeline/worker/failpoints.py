"""What a test may do to this process at a failpoint, as the variable JOURNEY_FAILPOINTS says it.

    commit.produced=kill@3; tick.ends=delay(5s)

At the third produced transaction the process kills itself, at the first tick its loop waits for five seconds there.
"""

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import structlog

from pipeline.adapters.yaml_documents import closest
from pipeline.application import failpoints
from pipeline.application.failpoints import Failpoint
from pipeline.domain.duration import parse_duration
from pipeline.errors import UserError

log = structlog.get_logger(__name__)

FAILPOINTS: Final = "JOURNEY_FAILPOINTS"
Action = Literal["kill", "stop", "raise", "delay"]
ACTIONS: Final[Mapping[Action, str]] = {
    "kill": "SIGKILL to itself",
    "stop": "SIGSTOP to itself: it stands until somebody sends SIGCONT",
    "raise": "an exception, as if the step had a bug",
    "delay": "the step waits for so long, `delay(5s)`, while the rest of the process goes on",
}
_POINTS: Final = {point.label: point for point in Failpoint}
_PART: Final = re.compile(r"(?P<point>[\w.]+)=(?P<action>\w+)(?:\((?P<time>\w+)\))?(?:@(?P<hit>[1-9]\d*))?")


class FailpointRaised(Exception):
    """Raised at a failpoint because it was asked for."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What happens at the `hit`-th time that a failpoint is reached, once; `delay` in seconds."""

    action: Action
    hit: int = 1
    delay: float = 0.0


def parse(text: str) -> Mapping[Failpoint, Planned]:
    """The plan in `text`, parts of `point=action@hit` between semicolons; UserError that says what is wrong with it."""
    plan: dict[Failpoint, Planned] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        found = _PART.fullmatch(part)
        if found is None:
            raise UserError(f"{FAILPOINTS}: cannot read '{part}'; expected point=action or point=action@hit")
        point = _POINTS.get(found["point"])
        if point is None:
            raise UserError(f"{FAILPOINTS}: there is no failpoint '{found['point']}'{_meant(found['point'], _POINTS)}")
        action: Action | None = next((each for each in get_args(Action) if each == found["action"]), None)
        if action is None:
            raise UserError(f"{FAILPOINTS}: '{found['action']}' is none of {', '.join(ACTIONS)}")
        if (action == "delay") != (found["time"] is not None):
            raise UserError(f"{FAILPOINTS}: '{part}': a delay, and nothing else, takes a time, as in delay(5s)")
        try:
            delay = parse_duration(found["time"]) / 1000 if found["time"] else 0.0
        except ValueError as error:
            raise UserError(f"{FAILPOINTS}: '{part}': {error}") from None
        plan[point] = Planned(action, int(found["hit"] or 1), delay)
    return plan


def install(environ: Mapping[str, str]) -> None:
    """Plants what the environment names; nothing if it names nothing. UserError for a plan that cannot be read."""
    plan = parse(environ.get(FAILPOINTS, ""))
    if plan:
        log.warning("failpoints.planted", plan=environ[FAILPOINTS], why=f"{FAILPOINTS} is set: this process will fail")
        failpoints.install(_Act(plan))


class _Act:
    """Counts how often each failpoint was reached, and does what is planned."""

    def __init__(self, plan: Mapping[Failpoint, Planned]) -> None:
        self._plan = plan
        self._reached: Counter[Failpoint] = Counter()

    async def __call__(self, point: Failpoint) -> None:
        planned = self._plan.get(point)
        if planned is None:
            return
        self._reached[point] += 1
        if self._reached[point] != planned.hit:
            return
        log.warning("failpoint", reason=point.label, action=planned.action, hit=planned.hit)
        match planned.action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "raise":
                raise FailpointRaised(f"at {point.label}, as {FAILPOINTS} asks for")
            case "delay":
                await asyncio.sleep(planned.delay)


def _meant(name: str, known: Mapping[str, object]) -> str:
    near = closest(name, list(known))
    return f"; did you mean '{near}'?" if near else ""
