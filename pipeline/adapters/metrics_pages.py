"""Workers' metrics pages, read as Prometheus reads them."""

import urllib.error
import urllib.request
from collections.abc import Sequence
from time import monotonic
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from pipeline.application.capacity_observed import Look
from pipeline.application.metrics import PREFIX
from pipeline.errors import UserError

ANSWER_S: Final = 5.0


def look(url: str) -> Look:
    """One worker now; blocks for `ANSWER_S` seconds at most. UserError (exit 1) if that is no worker's metrics page."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:  # noqa: S310  # `page` lets http and https through
            text = answer.read().decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise UserError(f"no metrics page answers at {url} ({why}); does the worker run, on that port?", 1) from None

    def total(name: str, **labels: str) -> float:
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    if not any(sample.name == f"{PREFIX}build_info" for sample in samples):
        raise UserError(f"{url} is no worker's metrics page; a worker serves it at http_host:http_port/metrics", 1)
    lanes = [s.labels["lane"] for s in samples if s.name == f"{PREFIX}lane_state" and s.labels["state"] == "running"]
    return Look(
        at_s=monotonic(),
        cpu_s=total("process_cpu_seconds_total"),
        events=int(total(f"{PREFIX}events_read_total") - total(f"{PREFIX}events_total", outcome="routed")),
        transactions=int(total(f"{PREFIX}batch_events_count")),
        mb=total("process_resident_memory_bytes") / 2**20,
        lag=int(total(f"{PREFIX}lane_lag_records")),
        lanes=tuple(sorted(map(int, lanes))),
        all_lanes=int(total(f"{PREFIX}lanes")),
    )


def page(address: str) -> str:
    """The URL of an address as people give it: `host:port`, with or without http:// and /metrics. Else a UserError."""
    url = address if "://" in address else f"http://{address}"
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if scheme not in {"http", "https"} or not host or not host.rpartition(":")[2].isdigit():
        raise UserError(f"'{address}' is no worker's address; write host:port, such as 127.0.0.1:9464")
    return url if slash and path else f"{scheme}://{host}/metrics"


def look_at_all(urls: Sequence[str]) -> list[Look]:
    """All of them, one after the other."""
    return [look(url) for url in urls]
