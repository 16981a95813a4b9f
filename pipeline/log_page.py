"""The events of the log, and docs/logs.md made of them: `python -m pipeline.log_page > docs/logs.md`.

A test holds this list against every call of a logger in the package.
"""

from dataclasses import dataclass
from typing import Final, Literal

from pipeline.log import LIBRARIES, WITHHELD
from pipeline.log_repeats import STEPS, WINDOW_S

Level = Literal["debug", "info", "warning", "error", "critical"]

LEVELS: Final[dict[Level, str]] = {
    "debug": "for who looks for a bug; not written unless `log_level` says so",
    "info": "a step in the life of a worker or a lane; nothing to do",
    "warning": "something was not as it should be and has been answered: it mends itself, or a person wanted it; look "
    "if it repeats",
    "error": "something waits for a person, was put aside for good, or is a bug of the program",
    "critical": "the process ends at once",
}

FIELDS: Final = {
    "lane": "the partition number, where the event is about one lane",
    "position": "`topic-partition@offset` of the record that it is about",
    "reason": "one word out of a short list; what is counted and grouped by",
    "why": "the same for people, in words",
    "mend": "what to do, as a command where there is one",
    "repeated": "how many there were since the line before of the same event, lane and reason",
    "exception": "kinds and places of an exception; where it came by code that has events in hand, its words are left "
    f"out: *{WITHHELD}*",
}


@dataclass(frozen=True, slots=True)
class LogEvent:
    """`level`, or two of them where it depends; `do` is empty if there is nothing to do."""

    level: tuple[Level, ...]
    meaning: str
    do: str = ""


def _event(levels: str, meaning: str, do: str = "") -> LogEvent:
    found: list[Level] = [level for level in LEVELS if level in levels.split()]
    return LogEvent(tuple(found), meaning, do)


EVENTS: Final = {
    "worker.started": _event(
        "info",
        "The worker has had its place in the group for the first time.",
    ),
    "worker.signal": _event(
        "info warning",
        "SIGTERM or Ctrl-C; a second one (warning) ends it where it stands.",
    ),
    "worker.stopped": _event(
        "info",
        "It has ended in good order.",
    ),
    "worker.stop": _event(
        "warning",
        "It did not end in good order in time, and was ended. Nothing is lost.",
        "If each stop does it: look what hangs with `py-spy dump`.",
    ),
    "worker.failed": _event(
        "error",
        "It cannot go on, and ends with 1.",
        "`why` says what stands in the way; once that is mended, start it again.",
    ),
    "worker.stuck": _event(
        "critical",
        "The watchdog ends it with 70: something stood without a known reason.",
        "Start it again; keep the lines before. If it comes back: "
        "[JourneyLaneStale](../deploy/runbooks/JourneyLaneStale.md).",
    ),
    "worker.uncompiled": _event(
        "warning",
        "The hot path runs as plain Python, at half the speed.",
        "Install a C compiler and run `make setup`.",
    ),
    "http.listening": _event(
        "info",
        "Where the pages are.",
    ),
    "http.failed": _event(
        "error",
        "A page raised: a bug.",
        "Keep the line for the team of the pipeline; the lanes are not touched by it.",
    ),
    "debug.asked": _event(
        "warning",
        "Somebody with the token looks into the process.",
        "If nobody is known to: change `debug_token`.",
    ),
    "debug.refused": _event(
        "warning",
        "Somebody asked for `/debug` without the right token.",
        "If it repeats: see who can reach the port.",
    ),
    "traces.on": _event(
        "info",
        "Traces are sent: where to, and which share of them.",
    ),
    "lanes.start": _event(
        "info",
        "A rebalance gave this worker these lanes.",
    ),
    "lanes.stop": _event(
        "info",
        "All lanes of this worker have stopped, for a rebalance or for good.",
    ),
    "lane.taken": _event(
        "info",
        "The lane is in hand: `how` its table was brought in step, after how many `seconds`.",
    ),
    "lane.doubt": _event(
        "warning info",
        "The lane is not sure where it stands and takes itself again; `reason` is [the "
        "word](operate.md#why-does-a-lane-not-move) of `journey status`. Info while the worker stops.",
        "The row of its reason there.",
    ),
    "lane.sought_again": _event(
        "info",
        "What was fetched had a hole; it is read again.",
    ),
    "lane.cancelled": _event(
        "warning",
        "A lane did not stop in time for a rebalance, and was cancelled. Nothing is lost.",
        "If it repeats: Kafka or Redis are slow.",
    ),
    "lane.split": _event(
        "error",
        "Only some inputs of a lane were given to this worker: others of the group read other `inputs`.",
        "Stop the workers with other settings.",
    ),
    "lane.failed": _event(
        "error",
        "A lane gave up, and the worker with it.",
        "As `worker.failed`.",
    ),
    "lane.failed_while_stopping": _event(
        "error",
        "A lane raised while it was told to stop: a bug; nothing is lost.",
        "Keep the line for the team of the pipeline.",
    ),
    "lane.release": _event(
        "error",
        "A lane that has left could not be let go: a bug; nothing is lost.",
        "Keep the line for the team of the pipeline.",
    ),
    "lane.bug": _event(
        "error",
        "The lane raised what it should not, and takes itself again.",
        "If it repeats: deploy the version before; keep the lines.",
    ),
    "lane.breaker_open": _event(
        "error",
        "The fold raised too often: the lane stands.",
        "[JourneyBreakerOpen](../deploy/runbooks/JourneyBreakerOpen.md).",
    ),
    "lane.breaker_closed": _event(
        "info",
        "Another version of the code or of a journey runs, and the lane goes on.",
    ),
    "lane.paused": _event(
        "warning",
        "A person told the lane to stand still, by the command at `position`.",
        "`journey status` shows why; `journey lane resume` when it is over.",
    ),
    "lane.resumed": _event(
        "info",
        "A person told the lane to go on.",
    ),
    "lane.skipped": _event(
        "warning",
        "A person gave up input that Kafka had deleted unread: offsets `start` to `end`.",
    ),
    "lane.prepared": _event(
        "info",
        "The lane looked at a new version of a journey; `ready`: it could run it. `journey promote` says why not.",
    ),
    "lane.switched": _event(
        "info",
        "The lane runs another version of a journey from here on.",
    ),
    "lane.order_of_no_effect": _event(
        "warning",
        "A decision came about a version that the lane does not know, or no longer.",
        "Give it again, if it was meant.",
    ),
    "journey.not_promoted": _event(
        "warning",
        "The file has a newer version than the lanes run.",
        "`journey promote FILE`, or nothing: the lanes decide.",
    ),
    "event.isolated": _event(
        "error",
        "The fold raised on one event, which went to the dead letters; the rest goes on. `reason` is what was raised.",
        "`journey tail dlq` has the traceback: a bug in a rule or the program.",
    ),
    "events.dead": _event(
        "warning",
        "Records that are no valid events went to the dead letters: `count` of one transaction, the first of "
        "them at `position`.",
        "[JourneyDeadLetters](../deploy/runbooks/JourneyDeadLetters.md).",
    ),
    "timers.parked": _event(
        "error",
        "The timers of one customer raised, and are left alone until another version of the code.",
        "A bug; `journey_timers_parked_total` counts them.",
    ),
    "tick.failed": _event(
        "warning",
        "The progress of the lanes could not be published; timers wait.",
        "If it repeats: Kafka is slow or away.",
    ),
    "progress.unread": _event(
        "warning",
        "The progress of other lanes could not be read; timers wait.",
        "If it repeats: Kafka is slow or away.",
    ),
    "progress.foreign": _event(
        "warning",
        "A record on `journey.progress` is none.",
        "See who else writes there.",
    ),
    "progress.ends_unknown": _event(
        "info",
        "No answer about the ends of the inputs, this time.",
    ),
    "lag.unknown": _event(
        "debug",
        "No answer about how far the lanes are behind, this time.",
    ),
    "kafka.away": _event(
        "warning",
        "No broker answers; it is asked each second.",
        "Mend Kafka; the worker goes on by itself.",
    ),
    "kafka.group": _event(
        "warning",
        "The group's coordinator refused something; it is tried again.",
        "If it repeats: see the brokers' log.",
    ),
    "kafka.leave": _event(
        "warning",
        "The group could not be left in order: it will miss this worker for a session.",
    ),
    "kafka.unreadable": _event(
        "error",
        "A fetch could not be read; it is asked for again.",
        "`OffsetOutOfRangeError`: [JourneyInputLost](../deploy/runbooks/JourneyInputLost.md). Else bytes are "
        "broken: see the brokers' log.",
    ),
    "kafka.close": _event(
        "debug",
        "A connection could not be closed in order.",
    ),
    "transaction.mended": _event(
        "warning",
        "A transaction that Kafka had left without its marker got the one that was decided.",
    ),
    "transaction.hangs": _event(
        "error",
        "A transaction is open for ever, and nobody knows any more what was decided.",
        "[A transaction that never ends](operate.md#a-transaction-that-never-ends).",
    ),
    "redis.away": _event(
        "warning",
        "Redis does not answer at the start; it is asked again.",
        "Mend Redis; the worker goes on by itself.",
    ),
    "redis.check": _event(
        "warning",
        "Redis is not set as it had better be.",
        "`mend` says how.",
    ),
    "failpoint": _event(
        "warning",
        "A planted failure happens. Never in production.",
    ),
    "failpoints.planted": _event(
        "warning",
        "This process was told to fail. Never in production.",
        "Unset `JOURNEY_FAILPOINTS`.",
    ),
}

_HEAD = """# Logs

One event a line on standard error: JSON, or in colours on a terminal (`log_format`), from `log_level` on. Libraries
come through the same door ({libraries}: warnings and worse), with their name as `logger` and their sentence as `event`.

    journey worker --config settings.yaml 2>&1 | grep '"level":"error"'

This page is made from `pipeline/log_page.py`.

| level | means |
|---|---|
{levels}

| field | holds |
|---|---|
{fields}

**What repeats is counted.** Of one event, lane and reason the first line is written at once. What follows within
{window:g} s is held back, and then one line says how many there were (`repeated`), with the fields of the newest: a
flood is a line each {window:g} s. Of `info` and `debug` {steps} lines pass first. What is counted when the process ends
is said then.

**Nobody is named.** No line has a value out of an event, a command or a journey's customer: a `position` says where to
look. Where an identity would be of use it is a short hash (`~9f86d081884c`), the same within one process.

| event | level | means | do |
|---|---|---|---|
{events}
"""


def page() -> str:
    """docs/logs.md."""
    return _HEAD.format(
        libraries=", ".join(f"`{name}`" for name in LIBRARIES if name != "pipeline"),
        levels="\n".join(f"| `{level}` | {meaning} |" for level, meaning in LEVELS.items()),
        fields="\n".join(f"| `{name}` | {meaning} |" for name, meaning in FIELDS.items()),
        window=WINDOW_S,
        steps=STEPS,
        events="\n".join(
            f"| `{name}` | {', '.join(event.level)} | {event.meaning} | {event.do} |" for name, event in EVENTS.items()
        ),
    )


if __name__ == "__main__":
    print(page(), end="")
