"""What a batch leaves to be sent, or not to be sent any more."""

from pipeline.application.intake import Batch, Intake
from pipeline.application.ports import Entry
from pipeline.application.routing import posted
from pipeline.application.stitch import Effects
from pipeline.domain.event import Invalid
from pipeline.domain.identity import Key
from pipeline.domain.stitching import MOST_HOPS


def by_home(batch: Batch, effects: Effects, intake: Intake) -> dict[int, list[Entry]]:
    """What goes to identities, by home lane; to each in the order in which it was sent."""
    sent = {home: list(entries) for home, entries in batch.routed.items()}
    for post in batch.posts:
        sent.setdefault(intake.find_home(Key(post.to)), []).append(posted(post))
    for to, entry in effects.sent:
        sent.setdefault(intake.find_home(Key(to)), []).append(entry)
    return sent


def bury_astray(batch: Batch, effects: Effects, intake: Intake) -> None:
    """Dead letters of the events that were sent on too often: they were following somebody who keeps moving."""
    for arrival in effects.astray:
        error = Invalid("too_many_hops", f"{MOST_HOPS} hops, and its owner is elsewhere by now")
        intake.bury(arrival.source, arrival.record, "too_many_hops", error, batch)
        batch.counts[arrival.channel].dead += 1
