"""Where the worker's time goes: the common work under a sampler, and each sample put to a stage.

Only samples that hold the interpreter's lock are counted, as seconds; what the process used beyond them is what it did
outside of it: sockets, mostly. So the stages add up to the CPU that the kernel charged. Compiled code shows as the line
that calls it, which is why stages are told by what that line says.
"""

import linecache
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pipeline.dev.stack import Stack
from tests.benchmarks import cost
from tests.benchmarks.loading import Work, load
from tests.benchmarks.results import Profile, Stage
from tests.benchmarks.systems.system import ROOT, Assignment, Running
from tests.benchmarks.systems.worker import Worker

RATE: Final = 250
"""Samples a second."""
LONGEST_S: Final = 600
WRITING_S: Final = 30
FRAME: Final = re.compile(r"^(?P<name>.+) \((?P<file>[^()]+):(?P<line>\d+)\)$")

STAGES: Final[tuple[tuple[str, str], ...]] = (
    ("events: decode, check, classify", r"intake\.take\("),
    ("fold, and profiles to bytes", r"_stitch\.fold\("),
    ("timers", r"_stitch\.let_time_pass\("),
    ("records for subscribers", r"= write_out\("),
    ("totals and lane record", r"bring_up_to_date\(|copy_lane\(|encode_lane\("),
    ("Kafka transaction", r"_writer\.commit\("),
    ("Redis, read", r"_table\.(load|due|earliest)\("),
    ("Redis, written", r"_table\.apply\("),
    ("cache", r"self\._keep\(|await self\._load\("),
    ("progress and watermark", r"keeper\.|_keeper"),
    ("lane, the rest", r"Lane\.|Hold\."),
    ("fetches: the consumer's thread", r"WorkerThread\.run|ServiceThread"),
    ("start-up", r"_find_and_load|wire\(|prepare\("),
    ("event loop and Faust", r"Runner\.run|run_forever"),
)
"""A stage, and what is said by the innermost frame that belongs to it: its function or its line in the source."""
OUTSIDE: Final = "outside the interpreter's lock: sockets, the kernel"
REST: Final = "other threads: pages, metrics, watchdog"


class Sampled(Worker):
    """The worker with py-spy beside it, from its first moment on."""

    def __init__(self, samples: Path) -> None:
        super().__init__()
        self._samples = samples
        self.sampler: subprocess.Popen[bytes] | None = None

    def start(self, given: Assignment) -> Running:
        running = super().start(given)
        spy = Path(sys.executable).with_name("py-spy")
        options = ["--gil", "--threads", "--rate", str(RATE), "--duration", str(LONGEST_S), "--format", "raw"]
        self.sampler = subprocess.Popen(
            [str(spy), "record", "--pid", str(running.process.pid), *options, "--output", str(self._samples)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return running


def measure(stack: Stack, work: Work, directory: Path, say: Callable[[str], None]) -> Profile:
    """One run, judged like any other; SystemExit if the sampler wrote nothing (it must be allowed to trace)."""
    samples = directory / "samples.txt"
    worker = Sampled(samples)
    given = Assignment(stack, "profile-", 4, directory)
    say(f"sending {len(work.events):,} events")
    load(given, work.events)
    say("worker, with a sampler beside it")
    found = cost.run(worker, given, work, 0)
    if worker.sampler is not None:
        worker.sampler.wait(WRITING_S)
    if not samples.exists():
        raise SystemExit("py-spy wrote no samples: it needs the right to trace other processes (CAP_SYS_PTRACE)")
    seconds = Counter[str]()
    for stage, count in told(samples.read_text().splitlines()):
        seconds[stage] += count
    spent = {stage: count / RATE / found.events * 1e6 for stage, count in seconds.items()}
    held = sum(spent.values())
    if held > found.worker_us:  # on a busy machine the lock is also held while the thread waits for a processor
        spent = {stage: us * found.worker_us / held for stage, us in spent.items()}
    else:
        spent[OUTSIDE] = found.worker_us - held
    stages = [Stage(stage, us) for stage, us in sorted(spent.items(), key=lambda item: -item[1])]
    return Profile(
        events=found.events,
        customers=found.customers,
        lanes=found.lanes,
        worker_us=found.worker_us,
        redis_us=found.redis_us,
        samples=sum(seconds.values()),
        stages=stages,
        load_average=found.load_average,
    )


def told(lines: list[str]) -> Iterator[tuple[str, int]]:
    """The stage of each stack, and how often it was seen."""
    for line in lines:
        stack, _, count = line.rpartition(" ")
        yield stage_of(stack.split(";")), int(count)


def stage_of(stack: list[str]) -> str:
    """The stage of the innermost frame that tells one; outermost first in `stack`."""
    for frame in reversed(stack):
        found = FRAME.match(frame)
        source = ""
        if found is not None and found["file"].startswith(("pipeline/", "tests/")):
            source = linecache.getline(str(ROOT / found["file"]), int(found["line"]))
        for stage, pattern in STAGES:
            if re.search(pattern, f"{frame} {source}"):
                return stage
    return REST
