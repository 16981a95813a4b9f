"""docs/operate/capacity.md, its charts and the data of `journey capacity`, made of the published results."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from typer.testing import CliRunner

from pipeline.adapters import capacity_file
from pipeline.application.capacity import Measured, Model, Published
from pipeline.cli.main import app
from tests.benchmarks import tables
from tests.benchmarks.capacity import WARM
from tests.benchmarks.charts import draw
from tests.benchmarks.results import Capacity, Line
from tests.benchmarks.systems.system import ROOT

PAGE: Final = ROOT / "docs/operate/capacity.md"
DATA: Final = ROOT / "pipeline/adapters" / capacity_file.FILE
EXAMPLES: Final = (
    "journey capacity --events-per-second 2000 --customers 1000000 --journeys 5",
    "journey capacity --events-per-second 60000 --customers 20000000 --journeys 5 --retention 7d",
)
PANEL: Final = {"width": 230, "height": 150}
COLUMNS: Final = 3

HEAD: Final = """\
# How much it takes

    {first}

{first_said}

`--lanes`, `--retention` (of the feeds), `--input-retention`, `--cache-profiles` and `--busy` (which share of its core a
worker may use, 60 %) say what is known already. `--json` is for programs. Whatever lies outside of what was measured is
said in a line that begins with `!`, as here:

    {second}

{second_said}

## What runs already

    journey capacity --observed
    journey capacity --observed --page worker-1:9464 --page worker-2:9464 --over 1min

looks twice at the workers' metrics pages (without `--page`, at the one of the settings) and says what they do, what an
event costs them, and how many they could take: at what an event costs now, which is the least, and with the larger
transactions that come with more load. These are the costs of your events, journeys and machines: believe them rather
than the figures above. It changes nothing. Give it every worker, or it says which lanes it has not seen.

## How it is reckoned

- **A worker uses one core**, since it is one Python process. In a second it uses what it uses idle, so much an
  event, and so much a transaction. An event's cost is that of a worker with a backlog ({most:,} events a
  transaction); what a steady rate costs beyond that is put down to its transactions.
- **Transactions**: a lane commits again {commit_ms:.0f} ms after the last time, or when there is an event. When its
  core is full a worker commits less often, and larger ones: so events alone say how many workers are needed, and
  CPU in use at a low rate is no sign that it is near its limit. Latency is: it grows when the core is full.
- **Customers and journeys**: an event's cost is read from the two curves below, the one times the other's share.
  Customers whom a worker's memory lacks (`cache_profiles`) cost a look-up in Redis, as if all acted alike: less
  where some act more.
- **Redis**: bytes of a customer with the longest histories here, {events_each:.0f} events and {identities:.1f}
  identities each. All customers count who were ever seen; they are not forgotten with time.
- **Changelog**: at rest one record an identity, and what is not compacted yet: by the topic's settings up to 30 %
  of it and the newest segment of each lane (128 MiB, or a day). A rebuild reads all of that.
- **Rebuild**: as fast as measured, by a worker that has its core for itself; the lanes of a worker share that core.
- **Not in it**: what Kafka's own copies and page cache take, dead letters, subscribers, the network, other zones.
  Journeys are the built-in ones: yours may cost more or less, and `--observed` says so.

## What was measured

{around}

The simulator's customers on all five channels: {input_bytes:.0f} bytes an event with its key. Some events name people
by something else than their customer id and go to another lane, {hop_bytes:.0f} bytes an event.

    python -m tests.benchmarks capacity --results-file docs/benchmarks/results.jsonl
    python -m tests.benchmarks publish --results-file docs/benchmarks/results.jsonl

measure it again, in less than eight minutes on a quiet machine with two cores (`--quick`: fewer and smaller
points), and make this page, its charts and the
[data that the command reads](../../pipeline/adapters/{data}) of it.

![One worker with a backlog: cost of an event, memory, bytes and rebuilding](capacity-full.svg)

![One worker at a steady rate: cores, transactions, bytes written](capacity-steady.svg)
"""


def published_of(line: Line) -> Published:
    """What the package carries of a line with a Capacity."""
    figure, around = line.figure, line.circumstances
    assert isinstance(figure, Capacity)
    return Published(
        at=around.at,
        commit=around.commit,
        machine=around.machine,
        cores=around.cores,
        memory_gb=around.memory_gb,
        system=around.system,
        python=around.python,
        kafka=around.kafka,
        redis=around.redis,
        load_average=figure.load_average,
        measured=figure.measured,
    )


def data_of(published: Published) -> bytes:
    """The file, for people to read, too."""
    return msgspec.json.format(msgspec.json.encode(published), indent=1) + b"\n"


def render(published: Published, around: str) -> str:
    """The page; `around`: the circumstances in words. The command answers from the data that is there already."""
    measured = published.measured
    model = Model(measured)
    usual = model.usual
    first, second = EXAMPLES
    head = HEAD.format(
        first=first,
        first_said=_answered(first),
        second=second,
        second_said=_answered(second),
        most=round(max(point.events_per_transaction for point in measured.full)),
        commit_ms=model.commit_s * 1000,
        events_each=usual.events / (1 - WARM) / usual.customers,
        identities=usual.identities / usual.customers,
        input_bytes=usual.input_bytes,
        hop_bytes=usual.hop_bytes,
        around=around,
        data=DATA.name,
    )
    sheets = (tables.full_speed_table(measured), tables.steady_table(measured))
    return "\n\n".join(part.strip() for part in (head, *(sheet.markdown() for sheet in sheets))) + "\n"


def publish(line: Line, around: str, page: Path = PAGE, data: Path = DATA) -> None:
    """Writes data, charts and page."""
    published = published_of(line)
    data.write_bytes(data_of(published))
    page.parent.mkdir(parents=True, exist_ok=True)
    draw(full_chart(published.measured), page.with_name("capacity-full.svg"))
    draw(steady_chart(published.measured), page.with_name("capacity-steady.svg"))
    page.write_text(render(published, around))


def full_chart(measured: Measured) -> dict[str, Any]:
    """One panel a curve."""
    model = Model(measured)
    by_journeys, by_customers = model.by_journeys, model.by_customers
    cpu = [("worker", lambda p: p.worker_us), ("Redis", lambda p: p.redis_us), ("Kafka", lambda p: p.broker_us)]
    written = [
        ("changelog", lambda p: p.changelog_bytes),
        ("feeds", lambda p: p.feed_bytes),
        ("customers", lambda p: p.customers_bytes),
    ]
    panels = [
        _panel(_rows(by_journeys, "journeys", cpu), "journeys", "CPU µs an event"),
        _panel(_rows(by_customers, "customers", cpu), "customers", "CPU µs an event", logarithmic=True),
        _panel(
            [{"x": p.cached, "y": p.worker_mb, "of": "worker"} for p in by_customers], "profiles in memory", "peak MB"
        ),
        _panel(
            [{"x": p.journeys, "y": p.redis_bytes, "of": "Redis"} for p in by_journeys], "journeys", "bytes a customer"
        ),
        _panel(_rows(by_journeys, "journeys", written), "journeys", "bytes written an event"),
        _panel(
            [{"x": p.rebuild_records, "y": p.rebuild_s, "of": "rebuild"} for p in by_customers],
            "records of the changelog",
            "seconds until all tables are rebuilt",
        ),
    ]
    return {"concat": panels, "columns": COLUMNS, "resolve": {"scale": {"color": "independent"}}}


def steady_chart(measured: Measured) -> dict[str, Any]:
    """By events a second, a line for each number of lanes; all journeys."""
    most = max(point.journeys for point in measured.steady)
    points = [point for point in measured.steady if point.journeys == most]

    def rows(take: str) -> list[dict[str, Any]]:
        return [{"x": p.events_per_second, "y": getattr(p, take), "of": f"{p.lanes} lanes"} for p in points]

    names = [
        ("worker_cores", "cores of the worker"),
        ("redis_cores", "cores of Redis"),
        ("broker_cores", "cores of Kafka"),
        ("transactions_per_second", "transactions a second"),
        ("changelog_bytes_per_second", "changelog, bytes a second"),
        ("feed_bytes_per_second", "feeds, bytes a second"),
    ]
    panels = [_panel(rows(name), "events a second", title) for name, title in names]
    return {"concat": panels, "columns": COLUMNS}


def _format(values: Iterable[float]) -> str:
    """Thousands as k, and small ones as they are."""
    return "~s" if max(values) >= 1_000 else "~g"


def _rows(points: Iterable[Any], x: str, named: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [{"x": getattr(point, x), "y": take(point), "of": name} for name, take in named for point in points]


def _panel(rows: Sequence[dict[str, Any]], x: str, y: str, *, logarithmic: bool = False) -> dict[str, Any]:
    lines = len({row["of"] for row in rows})
    color: dict[str, Any] = {
        "field": "of",
        "type": "nominal",
        "title": None,
        "sort": None,
        "legend": {} if lines > 1 else None,
    }
    return {
        **PANEL,
        "data": {"values": list(rows)},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {
                "field": "x",
                "type": "quantitative",
                "title": x,
                "scale": {"type": "log"} if logarithmic else {},
                "axis": {"format": _format(row["x"] for row in rows), "tickCount": 5},
            },
            "y": {
                "field": "y",
                "type": "quantitative",
                "title": y,
                "axis": {"format": _format(row["y"] for row in rows)},
            },
            "color": color,
        },
    }


def _answered(command: str) -> str:
    """What it says, as a block of the page."""
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    return "\n".join(f"    {line}".rstrip() for line in done.stdout.splitlines())
