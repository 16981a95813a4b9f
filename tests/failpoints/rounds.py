"""A round: a worker fails where its environment says, others go on with its work, and the judge looks at all of it."""

import json
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from pipeline.application.failpoints import Failpoint
from pipeline.worker.failpoints import FAILPOINTS, Action
from tests.harness import reading
from tests.harness.application import HOUR, Application, ago, some_traffic
from tests.harness.judging import Verdict
from tests.harness.sending import Sent
from tests.harness.waiting import until
from tests.harness.worker_process import WorkerProcess

DELAY = "5s"
"""Longer than the session, the transaction and the step timeout of QUICK."""

PATIENCE_S = 60.0
NEWS_EVERY_S = 0.5

REBUILDING = frozenset({Failpoint.TAKE_FILL, Failpoint.TAKE_RENAME_BEFORE, Failpoint.TAKE_RENAME_AFTER})
"""Reached only if Redis has lost the table."""
NEEDS_A_PAST = REBUILDING | {Failpoint.TAKE_REPLAY}
"""Reached only if the changelog has something."""
HANDING_OVER = frozenset({Failpoint.LANE_PARKED, Failpoint.LANE_RELEASED})
"""Reached only if another worker takes lanes over."""
STITCHING = frozenset(
    {
        Failpoint.CLAIM_FOLDED,
        Failpoint.CLAIM_APPLIED,
        Failpoint.ADOPT_FOLDED,
        Failpoint.ADOPT_APPLIED,
        Failpoint.RELEASE_FOLDED,
        Failpoint.RELEASE_APPLIED,
        Failpoint.GIVE_BACK_FOLDED,
        Failpoint.GIVE_BACK_APPLIED,
    }
)
"""Reached only if identities are linked and taken away again."""
BESIDE_THE_LANES = frozenset(
    {Failpoint.TICK_BEFORE, Failpoint.TICK_ACKNOWLEDGED, Failpoint.TICK_ENDS, Failpoint.PROGRESS_READ}
)
"""A bug there ends the process, as it should: no lane could settle it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One failpoint, what happens there, and at which time that it is reached."""

    point: Failpoint
    action: Action
    hit: int = 1

    def __str__(self) -> str:
        time_given = f"({DELAY})" if self.action == "delay" else ""
        return f"{self.point.label}={self.action}{time_given}@{self.hit}"

    @property
    def ends_the_process(self) -> bool:
        return self.action == "kill" or (self.action == "raise" and self.point in BESIDE_THE_LANES)


def give_a_past(app: Application) -> Verdict:
    """The application has worked before; afterwards it is at rest and without workers."""
    some_traffic(app, "past", customers=4)
    verdict = app.assert_right(app.worker("past", preloaded=True), PATIENCE_S)
    _end(app)
    return verdict


def play(app: Application, cells: Sequence[Cell], tag: str) -> Verdict:
    """One round of an application at rest without workers, which it is again afterwards; AssertionError if not right.

    Of the cells only the last may end or stop the process, and it must be reached after the others.
    """
    points = {cell.point for cell in cells}
    if points & REBUILDING:
        with reading.redis_client(app.settings) as client:
            for lane in range(app.settings.partitions):
                client.delete(app.settings.table_key(lane), f"{app.settings.table_key(lane)}:due")
    some_traffic(app, tag, customers=4)
    plan = "; ".join(map(str, cells))
    victim = app.worker(f"{tag}-victim", environment={FAILPOINTS: plan}, preloaded=True)
    heir: WorkerProcess | None = None
    if points & HANDING_OVER:
        # It may have been there already, in a rebalance of its own.
        until(lambda: victim.ready or victim.logged("failpoint"), lambda: f"it is ready\n{app.tails()}", PATIENCE_S)
        heir = app.worker(f"{tag}-heir", preloaded=True)
    for cell in cells:
        _until_reached(app, victim, cell, tag)
    last = cells[-1]
    if last.action == "stop":
        until(lambda: _stands(victim), lambda: f"it stands\n{app.tails()}", PATIENCE_S)
    if last.ends_the_process:
        assert victim.ended(PATIENCE_S) == (-signal.SIGKILL if last.action == "kill" else 1), app.tails()
    if heir is None and (last.action == "stop" or last.ends_the_process):
        heir = app.worker(f"{tag}-heir", preloaded=True)
    if last.action == "stop":
        assert heir is not None
        _until_it_has_all_lanes(app, heir)
        victim.resume()
    some_traffic(app, f"{tag}z", customers=4)
    verdict = app.assert_right(victim if heir is None else heir, PATIENCE_S)
    _end(app)
    return verdict


def _until_reached(app: Application, victim: WorkerProcess, cell: Cell, tag: str) -> None:
    """Until the worker has said that it was there; now and then something happens, so that there are batches."""
    began = time.monotonic()
    told = 0

    def reached() -> bool:
        nonlocal told
        if time.monotonic() > began + told * NEWS_EVERY_S:
            told += 1
            if cell.point in STITCHING:
                _link_and_block(app, f"{tag}-{cell.point.label}", told)
            app.sender.event("web", f"{tag}-{cell.point.label}-{told}", "page_viewed", ago(0))
            app.sender.flush()
        return bool(victim.logged("failpoint", reason=cell.point.label, action=cell.action))

    until(reached, lambda: f"{cell} is reached\n{app.tails()}", PATIENCE_S)


def _link_and_block(app: Application, name: str, number: int) -> None:
    """A browser is seen and a customer signs in with it: claim, adopt. It is taken away from the one before: release,
    give back; by now that one has heard the claim, if there is a worker.

    The customer is at home in another lane than the browser.
    """
    sender = app.sender

    def pair(of: int) -> tuple[str, str]:
        browser = f"anonymous:{name}-{of}"
        some = (f"{name}-{of}-{n}" for n in range(100))
        return browser, next(who for who in some if sender.home(who) != sender.home(browser))

    browser, customer = pair(number)
    named = {"anonymous": f"{name}-{number}"}
    sender.event("web", browser, "page_viewed", ago(2 * HOUR), customer_id=None, identities=named)
    sender.event("web", customer, "cart_added", ago(HOUR), identities=named)
    if number > 1:
        browser, customer = pair(number - 1)
        lane, reason = sender.home(browser), "a test"
        order = {"command": "block", "lane": lane, "reason": reason, "identity": browser, "customer": customer}
        value = json.dumps({"id": f"{name}-{number}", **order}).encode()
        sender.put(Sent("journey.commands", "", lane, browser.encode(), value))


def _stands(worker: WorkerProcess) -> bool:
    return bool(psutil.Process(worker.process.pid).status() == psutil.STATUS_STOPPED)


def _until_it_has_all_lanes(app: Application, worker: WorkerProcess) -> None:
    """Which is only when the group has given up the one that stands, so after its session timeout."""

    def has() -> bool:
        lanes = {lane["partition"] for lane in worker.lanes() if lane["state"] == "running"}
        return lanes == set(range(app.settings.partitions))

    until(has, lambda: f"{worker.name} has all lanes\n{app.tails()}", PATIENCE_S)


def _end(app: Application) -> None:
    running = [worker for worker in app.workers.values() if worker.running]
    for worker in running:
        worker.ask_to_stop()
    codes = {worker.name: worker.ended(PATIENCE_S) for worker in running}
    assert set(codes.values()) == {0}, f"asked to stop, they ended with {codes}\n{app.tails()}"
