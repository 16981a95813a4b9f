"""The topics, as a worker checks them at its start."""

from pipeline.adapters.doctor.finding import Finding
from pipeline.adapters.kafka import topics
from pipeline.config import Settings


async def look(settings: Settings) -> list[Finding]:
    """A finding for each kind of difference, topics that differ alike together. Raises as `topics.check` does."""
    alike: dict[tuple[bool, str, str], list[topics.Difference]] = {}
    for difference in await topics.check(settings):
        alike.setdefault((difference.required, difference.what, difference.mend), []).append(difference)
    findings = [
        Finding(
            "topics",
            "error" if required else "warning",
            f"{', '.join(each.topic for each in those)}: {what}",
            "; or: ".join([mend, *(each.command for each in those if each.command)]),
        )
        for (required, what, mend), those in alike.items()
    ]
    return findings or [Finding("topics", "ok", f"{len(topics.wanted(settings))} topics, all as wanted")]
