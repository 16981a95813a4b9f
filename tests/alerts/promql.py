"""What is wrong with an expression, beside its grammar: names and labels that nobody shows.

Prometheus takes a misspelt name for one that has no samples, so a rule with a typo is silent for ever.
"""

import re
from collections.abc import Iterator, Mapping

import promql_parser as promql

from pipeline.application.metrics import METRICS, PREFIX

Labels = Mapping[str, tuple[str, ...]]
"""The labels of a series; each with all its values, or none if they are not listed."""

OF_A_SCRAPE: Labels = {"job": (), "instance": ()}


def shown() -> dict[str, Labels]:
    """Every series that Prometheus finds at our workers, by name."""
    series: dict[str, Labels] = {"up": OF_A_SCRAPE, "process_start_time_seconds": OF_A_SCRAPE}
    for metric in METRICS:
        labels = {**OF_A_SCRAPE, **{label.name: label.values for label in metric.labels}}
        name = PREFIX + metric.name
        if metric.kind == "histogram":
            series |= {f"{name}_bucket": {**labels, "le": ()}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            series[name] = labels
    return series


def recorded(name: str) -> Labels:
    """The labels of a recorded series: those that its name begins with, or job and slo."""
    level = name.partition(":")[0]
    return dict.fromkeys(("job", "slo") if level == "slo" else level.split("_"), ())


def names(expression: str) -> set[str]:
    """All series that an expression asks for."""
    return {name for node in _walk(promql.parse(expression)) if (name := _name(node))}


def mistakes(expression: str, known: Mapping[str, Labels]) -> list[str]:
    """What the expression asks for that is not there, in words."""
    return [mistake for node in _walk(promql.parse(expression)) for mistake in _mistakes(node, known)]


def _mistakes(node: promql.Expr, known: Mapping[str, Labels]) -> Iterator[str]:
    if isinstance(node, promql.VectorSelector):
        name = _name(node)
        if name not in known:
            yield f"no series {name}"
            return
        for matcher in node.matchers.matchers:
            if matcher.name not in known[name]:
                yield f"{name} has no label {matcher.name}"
            elif not _matches(matcher, known[name][matcher.name]):
                yield f"{name} is never with {matcher.name}={matcher.value}"
    for label in _grouped_by(node):
        if label not in _labels_under(node, known):
            yield f"nothing here has the label {label}"


def _matches(matcher: promql.Matcher, values: tuple[str, ...]) -> bool:
    """Whether each thing that the matcher names is one of the values that there are."""
    if not values:
        return True
    regular = matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)  # they have no hash
    wanted = matcher.value.split("|") if regular else [re.escape(matcher.value)]
    return all(any(re.fullmatch(pattern, value) for value in values) for pattern in wanted)


def _grouped_by(node: promql.Expr) -> list[str]:
    """The labels that an aggregation keeps or a binary operation joins on."""
    if isinstance(node, promql.AggregateExpr) and node.modifier:
        return list(node.modifier.labels)
    if isinstance(node, promql.BinaryExpr) and node.modifier and node.modifier.matching:
        return list(node.modifier.matching.labels)
    return []


def _labels_under(node: promql.Expr, known: Mapping[str, Labels]) -> set[str]:
    sides = [node.lhs, node.rhs] if isinstance(node, promql.BinaryExpr) else [node]
    each = [{label for below in _walk(side) for label in known.get(_name(below), {})} for side in sides]
    return set.intersection(*each)


def _name(node: promql.Expr) -> str:
    """The name that a selector asks for; empty for all other nodes."""
    return node.name or "" if isinstance(node, promql.VectorSelector) else ""


def _walk(node: promql.Expr) -> Iterator[promql.Expr]:
    yield node
    below: list[promql.Expr] = []
    match node:
        case promql.BinaryExpr():
            below = [node.lhs, node.rhs]
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            below = [node.expr]
        case promql.Call():
            below = list(node.args)
        case promql.MatrixSelector():
            below = [node.vector_selector]
    for child in below:
        yield from _walk(child)
