"""How long to look: the same examples at every run; with JOURNEY_PROPERTY=n others each time, n times as many."""

import os

import pytest
from hypothesis import HealthCheck, settings

EXAMPLES = 250
times = int(os.environ.get("JOURNEY_PROPERTY", "0"))
settings.register_profile(
    "property",
    max_examples=EXAMPLES * max(times, 1),
    derandomize=not times,
    database=None,
    deadline=None,
    # An example is a journey that is compiled and several lives: some tenths of a second where the machine is busy.
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("property")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A long look takes as long as was asked for."""
    for item in items if times else ():
        item.add_marker(pytest.mark.timeout(0))
