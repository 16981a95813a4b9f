"""Two versions of one journey: whether the newer says where the customers of the older go."""

from collections.abc import Mapping

from pipeline.adapters.yaml_documents import Document, Problem, closest
from pipeline.domain.spec import JourneySpec


def carry_problems(document: Document, new: JourneySpec, old: JourneySpec) -> list[Problem]:
    """What is wrong with `carry_over` in the document of `new`, for customers of `old`."""
    stages = [stage.id for stage in new.stages]
    known = [stage.id for stage in old.stages]
    carry = new.carry_over
    ways: Mapping[str, str | None] = dict(carry.stages) if carry is not None else {}
    problems: list[Problem] = []
    if carry is not None and carry.from_version != old.version:
        message = f"the customers are under version {old.version}, not {carry.from_version}"
        problems.append(document.problem(("carry_over", "from_version"), message))
    for stage in ways:
        if stage not in known:
            message = f"version {old.version} has no stage '{stage}'"
            loc = ("carry_over", "stages", stage)
            problems.append(document.problem(loc, message, closest(stage, known), at_key=True))
    for stage in known:
        if stage not in stages and stage not in ways:
            message = (
                f"the stage '{stage}' of version {old.version} is gone, and nothing says where its customers go: name "
                f"it under `carry_over`, with `from_version: {old.version}`"
            )
            where = "stages" if carry is None else "carry_over"
            problems.append(document.problem((where,), message, closest(stage, stages), at_key=True))
    return problems


def way_back(new: JourneySpec, stages: Mapping[str, str | None], old: JourneySpec) -> dict[str, str | None]:
    """Where customers of `new` go when `old` is rolled back to; `stages` is how they came from there.

    Who is in a stage that the older version has stays. A stage that only one stage of the older led to leads back to
    that; any other is folded again.
    """
    known = {stage.id for stage in old.stages}
    found: dict[str, str | None] = {}
    for stage in (stage.id for stage in new.stages):
        if stage not in known:
            came = [before for before, after in stages.items() if after == stage]
            found[stage] = came[0] if len(came) == 1 else None
    return found
