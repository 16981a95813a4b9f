"""The failpoints for people: `python -m pipeline.worker.failpoints_page > docs/failpoints.md` writes the page."""

from pipeline.application.failpoints import Failpoint
from pipeline.worker.failpoints import ACTIONS


def page() -> str:
    """docs/failpoints.md."""
    actions = [f"| `{action}` | {text} |" for action, text in ACTIONS.items()]
    points = [f"| `{point.label}` | {point.moment} |" for point in Failpoint]
    return "\n".join([_BEFORE, *actions, _POINTS, *points, _END])


_BEFORE = """\
# Failpoints

Places in the lane's protocol where a worker can be made to fail, to see that nothing is lost by it. Nothing happens at
them unless the environment of a worker says so, and never in production:

    JOURNEY_FAILPOINTS="commit.produced=kill@3; tick.ends=delay(5s)" .venv/bin/journey worker --config settings.yaml

That worker kills itself when it has produced its third transaction and has not yet ended it, and before that waits for
five seconds in its first tick. A part is `point=action`; `@n` is the time at which it happens, the first if it is not
given. Each happens once in the life of a process, which says so in its log (`failpoint`).

| action | |
|---|---|"""

_POINTS = """\

A point is reached once for each lane, batch, seek or tick; hits are counted over all lanes of the process.

| point | when it is reached |
|---|---|"""

_END = """\

## Seeing it

`make failpoints` lets real workers fail at each point in each way: killed, stopped for longer than the session timeout
and woken up beside their heir, with an exception, with a delay longer than session, transaction and step may take. A
second worker takes over where the first is gone, and at the end all that was sent, published and stored is judged:
lost, doubled, gaps, totals, Redis against the changelog. `ARGS="--only commit --action stop --seed 7"` does a part of
it at other times. `make test` does each point once (`tests/chaos/test_failpoints.py`).
"""

if __name__ == "__main__":
    print(page(), end="")
