"""How long to look: the same examples at every run; with JOURNEY_PROPERTY=n others each time, n times as many."""

import os

from hypothesis import HealthCheck, settings

times = int(os.environ.get("JOURNEY_PROPERTY", "0"))
settings.register_profile(
    "property",
    max_examples=times * settings.get_profile("default").max_examples or settings.get_profile("default").max_examples,
    derandomize=not times,
    database=None,
    deadline=None,
    # An example is a journey that is compiled and several lives: some tenths of a second where the machine is busy.
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("property")
