"""All lanes checked, several at a time in processes of their own, and the results put together."""

import asyncio
import logging
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Thread
from typing import TYPE_CHECKING, Any

from pipeline.checker.findings import Findings
from pipeline.checker.lane_check import LaneResult
from pipeline.checker.linked import Linked
from pipeline.checker.linked_lanes import check_links
from pipeline.checker.routes import check_routes
from pipeline.checker.rules import Rules
from pipeline.cli.check_lane import LaneReading, Report, Survey, rules_of, survey
from pipeline.cli.reading_progress import Advance

if TYPE_CHECKING:
    from pipeline.config import Settings

LOOK_S = 0.1
WORTH_PROCESSES = 50_000
"""So many positions take about as long as a process takes to start."""
_told: Any = None
"""In a process of the pool: the queue on which it tells of its progress."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came out. `records`: by lane, the lane record up to which it was judged."""

    application: str
    findings: Findings
    records: dict[int, Mapping[str, Any]]
    linked: Linked


def check(
    settings: "Settings",
    jobs: int | None = None,
    kept: int = 20,
    advance: Advance | None = None,
    without: Sequence[str] = (),
    watermark: int | None = None,
) -> Checked:
    """Checks an application. `jobs`: processes, as many as there are processors by default; 1 is this one.

    `kept`: examples of each kind; `without`: customers whose feed is not compared; `watermark`: one that the lanes are
    known to have reached, where it is more than their records say (ms). UserError (exit code 2) if something cannot be
    read.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    rules = rules_of(settings)
    seen = asyncio.run(survey(settings, rules))
    if watermark is not None:
        seen = replace(seen, latest=max(watermark, seen.latest or watermark))
    count = min(jobs or (os.cpu_count() or 1 if seen.positions > WORTH_PROCESSES else 1), rules.partitions)
    work = [(settings, rules, seen, lane, kept, without) for lane in range(rules.partitions)]

    def read(more: int) -> None:
        if advance is not None:
            advance(more, seen.positions)

    results = list(_here(work, read)) if count == 1 else _in_processes(work, count, read)
    findings = Findings(kept)
    for result in sorted(results, key=lambda each: each.lane):
        findings.merge(result.findings)
    check_routes(rules, results, findings)
    links = check_links(rules, results, findings)
    return Checked(rules.application, findings, {result.lane: result.record for result in results}, links)


Work = tuple["Settings", Rules, Survey, int, int, Sequence[str]]


def _here(work: Iterable[Work], advance: Report) -> Iterator[LaneResult]:
    for settings, rules, seen, lane, kept, without in work:
        yield LaneReading(settings, rules, seen, lane, kept, advance, without).run()


def _in_processes(work: Sequence[Work], count: int, advance: Report) -> list[LaneResult]:
    # Fresh processes: a fork would take the parent's event loop and threads along.
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    with _stopped_at_once(ProcessPoolExecutor(count, context, _begin, (told,))) as pool:
        futures = [pool.submit(_one, each) for each in work]
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, LOOK_S)
            while not told.empty():
                advance(told.get())
            for future in done:
                future.result()
        return [future.result() for future in futures]


@contextmanager
def _stopped_at_once(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """The pool; what has not begun when something goes wrong does not begin any more."""
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(told: Any) -> None:
    global _told  # noqa: PLW0603  # an initializer can hand over nothing in another way
    _told = told
    Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _end_with_parent() -> None:
    """A process of the pool would wait for ever for work from a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _one(work: Work) -> LaneResult:
    settings, rules, seen, lane, kept, without = work
    return LaneReading(settings, rules, seen, lane, kept, _told.put, without).run()
