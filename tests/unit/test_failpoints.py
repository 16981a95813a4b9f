"""Failpoints: nothing happens at them until somebody plants it, and then what was planted, once."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.application import failpoints
from pipeline.application.failpoints import Failpoint
from pipeline.errors import UserError
from pipeline.worker.failpoints import FAILPOINTS, FailpointRaised, Planned, install, parse
from pipeline.worker.failpoints_page import page

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_is_left_planted() -> Iterator[None]:
    yield
    failpoints.uninstall()


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number) if pid == os.getpid() else None)
    return sent


def plant(text: str) -> None:
    install({FAILPOINTS: text})


async def test_nothing_happens_unless_it_is_planted() -> None:
    install({})
    for point in Failpoint:
        await failpoints.reached(point)


async def test_a_planted_exception_is_raised_at_its_time_and_once() -> None:
    plant("batch.folded=raise@2")
    await failpoints.reached(Failpoint.BATCH_FOLDED)
    await failpoints.reached(Failpoint.BATCH_TAKEN)
    with pytest.raises(FailpointRaised, match=r"batch\.folded"):
        await failpoints.reached(Failpoint.BATCH_FOLDED)
    await failpoints.reached(Failpoint.BATCH_FOLDED)


@pytest.mark.parametrize(("action", "number"), [("kill", signal.SIGKILL), ("stop", signal.SIGSTOP)])
async def test_signals_go_to_the_process_itself(action: str, number: int, signals: list[int]) -> None:
    plant(f"tick.ends={action}")
    await failpoints.reached(Failpoint.TICK_ENDS)
    assert signals == [number]


async def test_a_delay_lets_the_rest_of_the_process_go_on() -> None:
    plant("tick.before=delay(24h)")
    waiting = asyncio.ensure_future(failpoints.reached(Failpoint.TICK_BEFORE))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_a_request_is_on_its_way_when_its_failpoint_is_reached() -> None:
    order: list[str] = []

    async def request() -> str:
        order.append("sent")
        await asyncio.sleep(0)
        return "answer"

    async def act(point: Failpoint) -> None:
        order.append(point.label)

    assert await failpoints.meanwhile(Failpoint.COMMIT_SENT, request()) == "answer"
    failpoints.install(act)
    assert await failpoints.meanwhile(Failpoint.COMMIT_SENT, request()) == "answer"
    assert order == ["sent", "sent", "commit.sent"]


async def test_a_request_is_dropped_when_its_failpoint_raises() -> None:
    plant("commit.sent=raise")
    done = asyncio.Event()

    async def request() -> None:
        await asyncio.Event().wait()
        done.set()

    with pytest.raises(FailpointRaised):
        await failpoints.meanwhile(Failpoint.COMMIT_SENT, request())
    assert not done.is_set()


def test_a_plan_has_parts() -> None:
    assert parse(" take.fence=delay(1500ms)@2 ;commit.sent=kill; ") == {
        Failpoint.TAKE_FENCE: Planned("delay", 2, 1.5),
        Failpoint.COMMIT_SENT: Planned("kill"),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("commit.sent", "cannot read 'commit.sent'"),
        ("commit.send=kill", "no failpoint 'commit.send'; did you mean 'commit.sent'?"),
        ("commit.sent=explode", "'explode' is none of kill, stop, raise, delay"),
        ("commit.sent=delay", "takes a time, as in delay(5s)"),
        ("commit.sent=kill(5s)", "takes a time, as in delay(5s)"),
        ("commit.sent=delay(5parsecs)", "'commit.sent=delay(5parsecs)': "),
        ("commit.sent=kill@0", "cannot read"),
    ],
)
def test_a_plan_that_cannot_be_read_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        parse(text)


def test_each_failpoint_is_reached_somewhere() -> None:
    sources = "\n".join(file.read_text() for file in (ROOT / "pipeline").rglob("*.py"))
    used = re.findall(r"failpoints\.(?:reached|meanwhile)\(\s*Failpoint\.(\w+)", sources)
    [heard] = re.findall(r"^_HEARD[^}]*^}", sources, re.MULTILINE)
    used += re.findall(r"Failpoint\.(\w+)", heard)
    assert sorted(set(used)) == sorted(point.name for point in Failpoint)


def test_the_page_lists_them_all() -> None:
    """If not: python -m pipeline.worker.failpoints_page > docs/failpoints.md"""
    assert (ROOT / "docs" / "failpoints.md").read_text() == page()
