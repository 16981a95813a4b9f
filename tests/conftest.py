"""What every test may ask for: the running stack, a prefix of its own; and no silent skip where nobody looks."""

import itertools
import os
from collections.abc import Generator, Iterator
from typing import TypeVar

import pytest

from pipeline._compiled import compiled
from pipeline.dev.stack import Stack

_numbers = itertools.count(1)

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)
Reporting = Generator[None, R, R]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A real Kafka and Redis for the session; each xdist worker has its own. To kill a server use `own_stack`."""
    with Stack() as running:
        yield running


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """A stack of this test alone, which it may kill and pause."""
    with Stack() as running:
        yield running


@pytest.fixture
def prefix() -> str:
    """Put before the names of topics, groups and keys, so that tests on one stack do not meet: `t3f-`."""
    return f"t{next(_numbers):x}-"


@pytest.fixture
def bootstrap(stack: Stack) -> str:
    return stack.bootstrap


@pytest.fixture
def redis_url(stack: Stack) -> str:
    return stack.redis_url


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Compiled code cannot be changed from outside: such tests belong to the run with JOURNEY_PURE=1 (`make pure`)."""
    if compiled():
        pure = [item for item in items if item.get_closest_marker("pure")]
        items[:] = [item for item in items if not item.get_closest_marker("pure")]
        config.hook.pytest_deselected(items=pure)


def _must_run() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Reporting[pytest.TestReport]:
    report = yield
    if _must_run() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure with CI=true: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Reporting[pytest.CollectReport]:
    report = yield
    if _must_run() and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped, which is a failure with CI=true: {_reason(report.longrepr)}"
    return report


def _reason(longrepr: object) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
