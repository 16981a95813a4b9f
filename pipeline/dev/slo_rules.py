"""Rules out of the service levels: `python -m pipeline.dev.slo_rules > deploy/prometheus/slo-rules.yaml`.

Each level becomes its share of errors over every window, its budget, and an alert for each severity that compares how
fast the budget burns over a long and a short window at once. The recorded names are those of Sloth, which many
dashboards know.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

HERE: Final = Path(__file__).parents[2] / "deploy" / "prometheus"
SOURCE: Final = HERE / "slo.yaml"
RULES: Final = HERE / "slo-rules.yaml"

EVERY_S: Final = 15
"""Between two looks at an error share."""

_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400}

Severity = Literal["page", "inform"]
Rule = dict[str, Any]


class Burn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tell `severity` when the budget burns at `burn` times its even pace, over the `long` and the `short` window."""

    severity: Severity
    burn: float
    long: str
    short: str


class Level(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One service level. Its `errors` are a share from 0 to 1, by job."""

    name: str
    alert: str
    promise: str
    definition: str
    objective: float
    errors: str
    summary: str
    dashboard: str
    enough: str = ""

    @property
    def budget(self) -> str:
        """The share that may fail, without the noise of binary fractions."""
        return f"{1 - self.objective:.10g}"

    @property
    def has_windows(self) -> bool:
        """Whether `errors` are of a window, as counters have them; else they are of a moment."""
        return "$window" in self.errors


class ServiceLevels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All levels, over one `period`."""

    period: str
    windows: list[Burn]
    levels: list[Level]


def load(source: Path = SOURCE) -> ServiceLevels:
    """The levels of a file; msgspec.ValidationError that names the field if it has another shape."""
    return msgspec.convert(YAML(typ="safe").load(source), ServiceLevels)


def rules(levels: ServiceLevels) -> str:
    """The rule file, as YAML: a group a level."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 1_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO("# Made from slo.yaml by: python -m pipeline.dev.slo_rules\n")
    out.seek(0, io.SEEK_END)
    yaml.dump({"groups": [group for level in levels.levels for group in _groups(levels, level)]}, out)
    return out.getvalue()


def _groups(levels: ServiceLevels, level: Level) -> Iterator[dict[str, Any]]:
    windows = dict.fromkeys(window for burn in levels.windows for window in (burn.short, burn.long))
    burning = [_over(window, level) for window in windows]
    if not level.has_windows:
        burning.insert(0, _recorded("slo:sli_error:ratio", level.errors, level))
    yield {"name": f"journey-slo-{level.name}", "interval": f"{EVERY_S}s", "rules": [*burning, *_alerts(levels, level)]}
    spent = f"{_series(f'slo:sli_error:ratio_rate{levels.period}', level)} / {level.budget}"
    budget = [
        _over(levels.period, level),
        _recorded("slo:objective:ratio", f"vector({level.objective})", level),
        _recorded("slo:period_error_budget_remaining:ratio", f"1 - {spent}", level),
    ]
    # Apart, and seldom: a month of samples is read for it.
    yield {"name": f"journey-slo-{level.name}-budget", "interval": "5m", "rules": budget}


def _over(window: str, level: Level) -> Rule:
    """The share of errors over a window.

    What was not looked at counts as kept: else the start of a new application would be most of its first hour.
    """
    looks = int(window[:-1]) * _SECONDS[window[-1]] // EVERY_S
    mean = f"sum_over_time({_series('slo:sli_error:ratio', level)}[{window}]) / {looks}"
    errors = level.errors.replace("$window", window) if level.has_windows else mean
    return _recorded(f"slo:sli_error:ratio_rate{window}", errors, level)


def _recorded(name: str, expression: str, level: Level) -> Rule:
    return {"record": name, "expr": expression, "labels": {"slo": level.name}}


def _alerts(levels: ServiceLevels, level: Level) -> Iterator[Rule]:
    for severity in dict.fromkeys(burn.severity for burn in levels.windows):
        burns = [_burning(burn, level) for burn in levels.windows if burn.severity == severity]
        yield {
            "alert": level.alert,
            "expr": LiteralScalarString("\nor\n".join(burns)),
            "keep_firing_for": "5m",  # errors that come and go leave the short window in between
            "labels": {"severity": severity, "slo": level.name},
            "annotations": {
                "summary": level.summary,
                "description": f"{level.promise} Of that, {{{{ $value | humanizePercentage }}}} failed lately; "
                f"{100 * (1 - level.objective):.10g}% may over {levels.period}.",
                "runbook_url": f"{{{{ $externalLabels.runbooks }}}}/{level.alert}.md",
                "dashboard_url": f"{{{{ $externalLabels.dashboards }}}}/{level.dashboard}"
                "?var-job={{ $labels.job }}",
            },
        }


def _burning(burn: Burn, level: Level) -> str:
    parts = [
        f"{_series(f'slo:sli_error:ratio_rate{window}', level)} > {burn.burn:g} * {level.budget}"
        for window in (burn.long, burn.short)
    ]
    if level.enough:
        parts.append(f"on (job) ({level.enough.replace('$window', burn.long)})")
    return f"({' and '.join(parts)})"


def _series(name: str, level: Level) -> str:
    return f'{name}{{slo="{level.name}"}}'


if __name__ == "__main__":
    print(rules(load()), end="")
