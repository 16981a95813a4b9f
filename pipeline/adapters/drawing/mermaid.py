"""A journey as a Mermaid flowchart: text that GitHub and many editors show as a picture."""

from collections.abc import Iterator
from typing import Final

from pipeline.application.chart import Chart, ChartRule
from pipeline.domain.spec import START

_CLASSES: Final = (
    "classDef stage fill:#e8f0fe,stroke:#3b66c4,color:#14213d,stroke-width:2px",
    "classDef terminal fill:#eef0f4,stroke:#5b6c8f,color:#14213d,stroke-width:4px",
    "classDef touch fill:#ffffff,stroke:#9aa7bd,color:#333333",
    "classDef silence fill:#fff6e0,stroke:#d99a2b,color:#5c4300",
    "classDef signal fill:#fdeaea,stroke:#c93c3c,color:#7a1717",
)


def mermaid(chart: Chart, language: str) -> str:
    """The diagram's source; stages are called as in `language`."""
    return "\n".join(("flowchart TD", *(f"    {line}" for line in _lines(chart, language)))) + "\n"


def _lines(chart: Chart, language: str) -> Iterator[str]:
    yield "start(( ))"
    ids = {START: "start"} | {stage.id: f"stage{place}" for place, stage in enumerate(chart.stages)}
    for stage in chart.stages:
        name = _text((stage.labels.get(language, stage.id), stage.id))
        yield f"{ids[stage.id]}[{name}]:::{'terminal' if stage.terminal else 'stage'}"
    for number, rule in enumerate(chart.rules):
        name = f"rule{number}"
        if rule.signal:
            yield f"{name}>{_text((f'! {rule.signal}', *_words(rule)))}]:::signal"
            yield from (f"{ids[stage]} -.- {name}" for stage in rule.froms)
        else:
            yield f"{name}([{_text(_words(rule))}]):::{rule.kind}"
            yield from (f"{ids[stage]} --- {name}" for stage in rule.froms)
            yield f"{name} --> {ids[rule.to]}"
    yield from _CLASSES


def _words(rule: ChartRule) -> tuple[str, ...]:
    return (" · ".join(rule.when), *rule.but)


def _text(lines: tuple[str, ...]) -> str:
    return '"{}"'.format("<br/>".join(line.replace("&", "#amp;").replace('"', "#quot;") for line in lines))
