"""Places in the lane's protocol where a test may hurt the process: a closed list, and nothing happens there.

    await failpoints.reached(Failpoint.COMMIT_PRODUCED)

What then happens is `install`ed from the outside (`pipeline.worker.failpoints`). Modelled on FreeBSD's fail(9).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class Failpoint(Enum):
    """`label` names it for people, `moment` says what has just come true. In the order of the protocol."""

    TAKE_MEMBERSHIP = "take.membership", "Kafka has said that the worker is a member of its group"
    TAKE_FENCE = "take.fence", "the lane's producer has started: every earlier one is fenced"
    TAKE_BOUNDS = "take.bounds", "the ends of the changelog are known, nothing of it is read"
    TAKE_REPLAY = "take.replay", "a piece of the changelog is read, from where the table stands"
    TAKE_FILL = "take.fill", "a rebuild has read a piece of the changelog for the new table"
    TAKE_RENAME_BEFORE = "take.rename.before", "a rebuilt table is whole, and not yet in place"
    TAKE_RENAME_AFTER = "take.rename.after", "a rebuilt table is in place"
    TAKE_ACCEPTED = "take.accepted", "the lane is taken, its record accepted"
    SEEK_BEFORE = "seek.before", "the lane is about to seek one of its inputs"
    SEEK_AFTER = "seek.after", "an input is read from where the lane stands"
    BATCH_TAKEN = "batch.taken", "a batch has left the queues"
    BATCH_LOADED = "batch.loaded", "the profiles of the batch are loaded, the table is watched"
    BATCH_FOLDED = "batch.folded", "the batch is folded and encoded, no transaction has begun"
    COMMIT_BEGUN = "commit.begun", "all of it is ready for the transaction, nothing is produced"
    COMMIT_PRODUCED = "commit.produced", "all of it is produced and acknowledged, the transaction is open"
    COMMIT_SENT = "commit.sent", "the end of the transaction is sent, its answer is awaited"
    COMMIT_ANSWERED = "commit.answered", "the transaction is committed, Redis does not know of it"
    BATCH_APPLIED = "batch.applied", "Redis has the batch"
    CLAIM_FOLDED = "claim.folded", "identities have heard claims, and no transaction has begun"
    CLAIM_APPLIED = "claim.applied", "Redis has what claims did; whom identities point to now has not heard of it"
    ADOPT_FOLDED = "adopt.folded", "strands are united with others, and no transaction has begun"
    ADOPT_APPLIED = "adopt.applied", "Redis has united strands; what they claim has not heard where they are"
    RELEASE_FOLDED = "release.folded", "strands are cut out, and no transaction has begun"
    RELEASE_APPLIED = "release.applied", "Redis is without the strands, which are under way to their identities"
    GIVE_BACK_FOLDED = "give_back.folded", "strands are home again, and no transaction has begun"
    GIVE_BACK_APPLIED = "give_back.applied", "Redis has the strands that are home again, or under way to another owner"
    TICK_BEFORE = "tick.before", "the lanes' progress is about to be published"
    TICK_ACKNOWLEDGED = "tick.acknowledged", "the progress is acknowledged, the ends are not asked for"
    TICK_ENDS = "tick.ends", "the ends of the inputs have come, the lanes do not know of them"
    PROGRESS_READ = "progress.read", "everybody's progress is read, the watermark does not know of it"
    LANE_PARKED = "lane.parked", "the lane has stopped its work and may be run again"
    LANE_RELEASED = "lane.released", "the lane has moved to another worker and is about to let go of what it holds"

    def __init__(self, label: str, moment: str) -> None:
        self.label = label
        self.moment = moment


Act = Callable[[Failpoint], Awaitable[None]]


async def _go_on(_point: Failpoint) -> None:
    return


reached: Act = _go_on
"""Awaited at each failpoint; called through the module, since `install` puts another function in its place."""


def install(act: Act) -> None:
    """From now on `act` is awaited at each failpoint; whatever it raises comes out of the step."""
    global reached  # noqa: PLW0603 - the one switch, thrown before the first lane starts
    reached = act


def uninstall() -> None:
    install(_go_on)


def meanwhile(point: Failpoint, request: Coroutine[Any, Any, Answer]) -> Awaitable[Answer]:
    """The answer to `request`; the failpoint is reached once the request is on its way."""
    return request if reached is _go_on else _reach_meanwhile(point, request)


async def _reach_meanwhile(point: Failpoint, request: Coroutine[Any, Any, Answer]) -> Answer:
    asking = asyncio.ensure_future(request)
    try:
        for _ in range(TURNS_TO_SEND):
            await asyncio.sleep(0)
        await reached(point)
        return await asking
    finally:
        asking.cancel()


TURNS_TO_SEND = 5
"""Turns of the event loop after which a request on an open connection has been written to its socket."""
