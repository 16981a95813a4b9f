"""The metrics of one worker for Prometheus."""

import platform
from collections.abc import Mapping, Sequence
from math import nan
from typing import Final, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from pipeline import __version__
from pipeline.application.lane_record import LaneRecord
from pipeline.application.lane_samples import samples
from pipeline.application.metrics import BY_NAME, LANE, METRICS, NONE, OTHER, PREFIX, Kind, Label, Metric

STATE: Final = "lane_state"
EOF: Final = b"# EOF\n"

M = TypeVar("M", Counter, Gauge, Histogram)


class PrometheusMetrics:
    """Implements application.metrics.Metrics on a registry of its own, with the process's CPU and memory beside it."""

    def __init__(self) -> None:
        # They double the series and nobody reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._lanes = _Lanes()
        self._counters = _Series(
            {m.name: Counter(PREFIX + m.name, m.help, _label_names(m), registry=registry) for m in _made("counter")}
        )
        self._gauges = _Series(
            {m.name: Gauge(PREFIX + m.name, m.help, _label_names(m), registry=registry) for m in _made("gauge")}
        )
        self._histograms = _Series(
            {
                m.name: Histogram(PREFIX + m.name, m.help, _label_names(m), registry=registry, buckets=m.buckets)
                for m in _made("histogram")
            }
        )
        for gauge in (metric for metric in _made("gauge") if not metric.labels):
            self.set(gauge.name, nan)  # not known yet is not zero
        self.set("build_info", 1, __version__, platform.python_version())

    def increment(self, metric: str, amount: float, *labels: str) -> None:
        """Adds to a counter; KeyError if there is no such."""
        self._counters.child(metric, labels).inc(amount)

    def set(self, metric: str, value: float, *labels: str) -> None:
        """Sets a gauge; KeyError if there is no such."""
        self._gauges.child(metric, labels).set(value)

    def observe(self, metric: str, value: float, *labels: str) -> None:
        """Adds one value to a histogram; KeyError if there is no such."""
        self._histograms.child(metric, labels).observe(value)

    def publish(self, lane: int, record: LaneRecord) -> None:
        self._lanes.records[lane] = record

    def lane_state(self, lane: int, state: str, reason: str) -> None:
        if state == "stopped":
            self.forget(lane)
        else:
            self._lanes.states[lane] = (state, reason)

    def forget(self, lane: int) -> None:
        self._lanes.forget(lane)
        self._counters.forget(str(lane))
        self._gauges.forget(str(lane))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All series in the format that the Accept header prefers, and its content type."""
        encode, content_type = choose_encoder(accept)
        openmetrics = content_type.startswith("application/openmetrics-text")
        lanes = self._lanes.text(openmetrics=openmetrics).encode()
        rest: bytes = encode(self._registry)
        return (rest.removesuffix(EOF) + lanes + EOF if openmetrics else rest + lanes), content_type


def _made(kind: Kind) -> list[Metric]:
    """The metrics that are made here and now; what a scrape makes of the lanes is not."""
    return [metric for metric in METRICS if metric.kind == kind and not _of_lanes(metric)]


def _of_lanes(metric: Metric) -> bool:
    return metric.origin == "record" or metric.name == STATE


class _Series(Generic[M]):
    """All series of one kind, found by the names and values that the parts report with."""

    def __init__(self, metrics: Mapping[str, M]) -> None:
        self._metrics: Mapping[str, M] = metrics
        self._children: dict[tuple[str, tuple[str, ...]], M] = {}
        for name in metrics:
            if len(BY_NAME[name].labels) == 1:
                for value in BY_NAME[name].labels[0].values:  # a rate needs the zero that it began with
                    self.child(name, (value,))

    def child(self, name: str, labels: tuple[str, ...]) -> M:
        child = self._children.get((name, labels))
        if child is None:
            metric = self._metrics[name]
            child = metric.labels(*_checked(BY_NAME[name].labels, labels)) if labels else metric
            self._children[name, labels] = child
        return child

    def forget(self, lane: str) -> None:
        for name, labels in list(self._children):
            if LANE in BY_NAME[name].labels and labels[0] == lane:
                del self._children[name, labels]
                self._metrics[name].remove(*_checked(BY_NAME[name].labels, labels))


class _Lanes:
    """What the lanes' records and states say at the moment of a scrape, as text.

    They are nearly all series, and written here because what a series is called stays the same from scrape to scrape:
    the library would sort, check and escape its labels each time, while a busy lane waits for the interpreter.
    """

    def __init__(self) -> None:
        self.records: dict[int, LaneRecord] = {}
        self.states: dict[int, tuple[str, str]] = {}
        self._heads: dict[int, dict[tuple[str, tuple[str, ...]], str]] = {}

    def forget(self, lane: int) -> None:
        for known in (self.records, self.states, self._heads):
            known.pop(lane, None)

    def text(self, *, openmetrics: bool) -> str:
        """All families, with the samples there are. OpenMetrics names a counter without its ending."""
        families: dict[str, dict[str, float]] = {metric.name: {} for metric in METRICS if _of_lanes(metric)}
        for lane, record in self.records.copy().items():
            heads = self._heads.setdefault(lane, {})
            for name, labels, value in samples(record):
                head = heads.get((name, labels))
                if head is None:
                    head = heads[name, labels] = _head(name, lane, labels)
                family = families[name]
                family[head] = family.get(head, 0.0) + value  # what is unknown may meet in one
        for lane, state in self.states.copy().items():
            families[STATE][_head(STATE, lane, state)] = 1.0
        lines: list[str] = []
        for name, family in families.items():
            metric, title = BY_NAME[name], PREFIX + (name.removesuffix("_total") if openmetrics else name)
            lines += (f"# HELP {title} {metric.help}", f"# TYPE {title} {metric.kind}")
            lines += [f"{head} {float(value)!r}" for head, value in family.items()]
        return "\n".join(lines) + "\n"


def _head(name: str, lane: int, labels: Sequence[str]) -> str:
    """A series as it stands before its value."""
    metric = BY_NAME[name]
    values = (str(lane), *_checked(metric.labels[1:], labels))
    named = zip(_label_names(metric), map(_escaped, values), strict=True)
    written = ",".join(f'{label}="{value}"' for label, value in named)
    return f"{PREFIX}{name}{{{written}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _label_names(metric: Metric) -> list[str]:
    return [label.name for label in metric.labels]


def _checked(labels: Sequence[Label], values: Sequence[str]) -> list[str]:
    """The values, each within what its label allows; ValueError if there are too few or too many."""
    return [
        (value or NONE) if not label.values or (value or NONE) in label.values else OTHER
        for label, value in zip(labels, values, strict=True)
    ]
