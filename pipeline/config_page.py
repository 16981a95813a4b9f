"""The settings for people: `python -m pipeline.config_page > docs/settings.md` writes the page."""

from dataclasses import dataclass

from pydantic import SecretStr

from pipeline.adapters.yaml_files import Section
from pipeline.config import OTHER_VARIABLES, VARIABLE, Settings
from pipeline.domain.duration import format_duration


@dataclass(frozen=True, slots=True)
class Described:
    """One setting; `default` is as it would be written in a file."""

    name: str
    variable: str
    default: str
    unit: str
    text: str


def describe() -> tuple[Described, ...]:
    """All settings, in the order in which they are declared."""
    described = []
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        unit = str(extra["unit"])
        default = _written(field.default, unit)
        described.append(Described(name, VARIABLE + name.upper(), default, unit, field.description or ""))
    return tuple(described)


def _written(value: object, unit: str) -> str:
    if isinstance(value, Section):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(item, unit)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_written(item, unit) for item in value) + "]"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and unit.startswith("duration"):
        return format_duration(value)
    if isinstance(value, str) and (not value or value in _WORDS or value[0] == "["):
        return f'"{value}"'
    return f"{value:g}" if isinstance(value, float) else str(value)


_WORDS = frozenset({"null", "true", "false"})
"""Texts that YAML would read as something else."""


def page() -> str:
    """docs/settings.md."""
    rows = [f"| `{s.name}` | `{s.default}` | {s.unit} | {s.text} |" for s in describe()]
    others = [f"| `{name}` | {text} |" for name, text in OTHER_VARIABLES.items()]
    return "\n".join([_BEFORE, *rows, _AFTER, *others, _END])


_BEFORE = """\
# Settings

A worker and the commands read their settings once, at the start: from the YAML file given by `--config` or
`JOURNEY_CONFIG`, and from the environment, which wins. Every setting has a default, so an empty file is a sound one.

```yaml
# settings.yaml
brokers: kafka-1:9092,kafka-2:9092
redis_url: redis://cache:6379/0
grace: {store: 12h}      # the other channels keep theirs
journeys: [five-stage, journeys/club.yaml]
```

A mistake stops the start with its place and, where one is near, what was probably meant:

```text
settings.yaml:2:1: unknown key 'broker'; did you mean 'brokers'?
  2 | broker: kafka-1:9092,kafka-2:9092
    | ^
```

Durations are a whole number and a unit: `250ms`, `5s`, `5min`, `24h`, `90d`. A path of a journey or touch table starts
at the folder of the settings file.

| name | default | unit | |
|---|---|---|---|"""

_AFTER = """\

## Environment

`JOURNEY_` and the name in capitals overrides a setting: `JOURNEY_BROKERS`, `JOURNEY_LOG_LEVEL`. Lists and mappings are
written as YAML or JSON: `JOURNEY_INPUTS='[{topic: work.events, channel_field: channel}]'`. An empty variable counts as
not set; paths start at the working directory. An unknown `JOURNEY_` variable stops the start, but for these:

| name | |
|---|---|"""

_END = """\
| `JOURNEY_…_SERVICE_HOST`, `JOURNEY_…_PORT` and the like | what Kubernetes sets for a service by that name: ignored |
"""

if __name__ == "__main__":
    print(page(), end="")
