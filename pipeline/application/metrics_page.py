"""docs/metrics.md out of the list of metrics: `python -m pipeline.application.metrics_page > docs/metrics.md`."""

from collections.abc import Iterator

from pipeline.application.metrics import METRICS, NONE, OTHER, PREFIX, Label, Metric, Origin
from pipeline.application.metrics_advice import ADVICE

_SECTIONS: tuple[tuple[Origin, str, str], ...] = (
    (
        "record",
        "What a lane has done",
        (
            "Absolute numbers out of the lane record, committed in one transaction with what they count. They add up "
            "exactly over crashes and go with the lane to another worker, where they stand under another `instance`: "
            "aggregate with `sum` after `rate` or `increase`."
        ),
    ),
    (
        "lane",
        "How a lane is",
        "What this worker sees of the lanes that it has. The series of a lane that has gone are gone.",
    ),
    ("worker", "How the worker is", "What concerns the process."),
)

_HEAD = """# Metrics

`/metrics` of a worker (`http_host`, `http_port`) serves these, in the text or OpenMetrics format, with `process_*` and
`python_gc_*` beside them. No label holds a customer, an event or anything else without a
bound: values outside a closed list are shown as `{other}`, empty ones as `{none}`.

This page is made from `pipeline/application/metrics.py` and `metrics_advice.py`. [Dashboards](operate.md#dashboards)
show them, [alerts](../deploy/prometheus/README.md) watch them.
"""

_TAIL = """
## What always holds

Every event that was read has one outcome, so this is empty, at any moment and over any crash:

    sum by (lane, channel) ({prefix}events_total) != sum by (lane, channel) ({prefix}events_read_total)
"""


_COLUMNS = "| metric | kind, unit | labels | meaning | when it moves |\n|---|---|---|---|---|\n"
_RUNBOOKS = "../deploy/runbooks"


def page() -> str:
    """The whole page as Markdown."""
    parts = [_HEAD.format(other=OTHER, none=NONE)]
    for origin, title, text in _SECTIONS:
        rows = "\n".join(_row(metric) for metric in METRICS if metric.origin == origin)
        parts.append(f"\n## {title}\n\n{text}\n\n{_COLUMNS}{rows}\n")
    parts.append(_TAIL.format(prefix=PREFIX))
    return "".join(parts)


def _row(metric: Metric) -> str:
    labels = "<br>".join(_label(label) for label in metric.labels)
    bounds = f" Buckets: {', '.join(f'{bound:.10g}' for bound in metric.buckets)}." if metric.buckets else ""
    advice = ADVICE[metric.name]
    books = "<br>".join(f"[{name}]({_RUNBOOKS}/{name}.md)" for name in advice.runbooks)
    do = f"{advice.do}<br>{books}" if books else advice.do
    return f"| `{PREFIX}{metric.name}` | {metric.kind}, {advice.unit} | {labels} | {metric.help}{bounds} | {do} |"


def _label(label: Label) -> str:
    return f"`{label.name}`: {', '.join(_values(label))}"


def _values(label: Label) -> Iterator[str]:
    yield from (f"`{value}`" for value in label.values)
    if label.bound:
        yield label.bound


if __name__ == "__main__":
    print(page(), end="")
