"""The pipeline's topics on a real cluster: compared with `schemas/topics/`, made, and set as they must be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.adapters.kafka.topic_admin import Unreachable, topic_admin
from pipeline.adapters.kafka.topic_plans import (
    EXISTENCE,
    Difference,
    FoundTopic,
    TopicPlan,
    another_number,
    lanes_there,
    wanted,
)
from pipeline.config import Settings
from pipeline.errors import UserError

__all__ = [
    "Applied",
    "Difference",
    "TopicPlan",
    "TopicState",
    "Unreachable",
    "apply",
    "check",
    "ensure_as_wanted",
    "list_topics",
    "report",
    "wanted",
]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A planned topic and how it stands; partitions and replicas are None where it does not exist."""

    plan: TopicPlan
    partitions: int | None
    replicas: int | None
    state: Literal["as wanted", "could be better", "differs", "missing"]


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` changed, and what still differs."""

    changed: Sequence[Difference]
    left: Sequence[Difference]


async def check(settings: Settings) -> list[Difference]:
    """Every way in which the cluster's topics are not as wanted. Raises Unreachable, and UserError if Kafka refuses."""
    async with topic_admin(settings) as topics:
        return await topics.differences()


async def ensure_as_wanted(settings: Settings) -> list[Difference]:
    """What could be better.

    Raises UserError that lists all that must be mended before a worker can start, and Unreachable.
    """
    found = await check(settings)
    wrong = [difference for difference in found if difference.required]
    if wrong:
        raise UserError("The topics are not as a worker needs them:\n" + report(wrong))
    return found


async def list_topics(settings: Settings) -> list[TopicState]:
    """Every planned topic and how it stands, inputs first. Raises Unreachable, and UserError if Kafka refuses."""
    async with topic_admin(settings) as topics:
        found = await topics.found()
        differing = topics.compare(found)
        return [_state(plan, found.get(plan.name), differing) for plan in topics.plans]


async def apply(
    settings: Settings, *, replication: int | None = None, recommended: bool = False, force: bool = False
) -> Applied:
    """Makes missing topics, and sets what is required on those there are.

    `recommended` sets what is recommended too; `force` also changes inputs, cleanup policies and, where that is safe,
    adds partitions. `replication` is the number of copies of new topics (default: three, or one a broker). Returns when
    the changes show. Raises Unreachable, and UserError if Kafka refuses or the cluster has another number of lanes.
    """
    async with topic_admin(settings) as topics:
        found = await topics.found()
        lanes = lanes_there(topics.plans, found)
        if lanes is not None and lanes != settings.partitions:
            where = (
                f"{settings.topic('journey.profiles')} has {lanes} partitions, `partitions` is {settings.partitions}"
            )
            raise UserError(f"Nothing was changed: {where}; {another_number(lanes)}")
        before = topics.compare(found)
        allowed = {option for option, given in (("recommended", recommended), ("force", force)) if given}
        mended = [each for each in before if each.options is not None and allowed.issuperset(each.options)]
        missing = {difference.topic for difference in mended if difference.setting == EXISTENCE}
        await topics.create([plan for plan in topics.plans if plan.name in missing], replication)
        await topics.add_partitions(mended)
        await topics.set_configs(mended)
        return Applied(mended, await topics.until_gone(mended))


def report(found: Iterable[Difference]) -> str:
    """The differences for people, with what mends them; topics that differ alike stand together."""
    alike: dict[tuple[str, str], list[Difference]] = {}
    for difference in found:
        alike.setdefault((difference.what, difference.mend), []).append(difference)
    lines: list[str] = []
    for (what, mend), those in alike.items():
        commands = [f"      {each.command}" for each in those if each.command]
        lines += [f"  {', '.join(each.topic for each in those)}: {what}", f"    {mend}{', or:' if commands else ''}"]
        lines += commands
    return "\n".join(lines)


def _state(plan: TopicPlan, found: FoundTopic | None, differing: Iterable[Difference]) -> TopicState:
    if found is None:
        return TopicState(plan, None, None, "missing")
    mine = [difference.required for difference in differing if difference.topic == plan.name]
    state: Literal["as wanted", "could be better", "differs"] = "as wanted"
    if mine:
        state = "differs" if any(mine) else "could be better"
    return TopicState(plan, found.partitions, found.replicas, state)
