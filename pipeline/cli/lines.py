"""Published records as lines for people: when, who, what, why."""

from typing import TYPE_CHECKING, Final

from rich.text import Text

from pipeline.adapters.published import Cause, DeadLetter, Published, PublishedTransition
from pipeline.domain.duration import format_duration
from pipeline.domain.history import Entry
from pipeline.domain.identity import Key, public_key
from pipeline.domain.moments import format_moment
from pipeline.domain.uniting import LINKED

if TYPE_CHECKING:
    from pipeline.adapters.customer_view import CustomerView

_START: Final = "·"
"""Shown for a customer who has entered no stage."""
_COLOURS: Final = {
    **dict.fromkeys(("awareness", "discovery", "acquisition"), "cyan"),
    **dict.fromkeys(("consideration", "evaluation"), "blue"),
    **dict.fromkeys(("purchase", "conversion"), "yellow"),
    **dict.fromkeys(("retention", "after-sales", "post-purchase"), "green"),
    **dict.fromkeys(("advocacy", "loyalty"), "magenta"),
    **dict.fromkeys(("lapsed", "win-back"), "red"),
}


def line(published: Published) -> Text:
    """One line for a stage change or a signal."""
    if isinstance(published, PublishedTransition):
        text = _head(published.occurred_at, published.customer_id, published.journey)
        what = stage(published.from_)
        what.append(" → ", "dim")
        what.append_text(stage(published.to))
        if published.kind != "entered":
            what.append(f" {published.kind}", "bold yellow")
    else:
        text = _head(published.due_at, published.customer_id, published.journey)
        what = Text.assemble(("! ", "bold red"), (published.signal, "bold"))
        for word, holds in (
            ("withdrawn", published.kind == "retracted"),
            ("overtaken", published.overtaken),
            ("expired", published.expired),
        ):
            if holds:
                what.append(f" {word}", "yellow")
    what.pad_right(max(0, 32 - what.cell_len))
    text.append_text(what)
    text.append("  ")
    text.append(why(published.cause), "dim")
    return text


def stage(name: str | None) -> Text:
    return Text(name or _START, _COLOURS.get(name or "", ""))


def why(cause: Cause) -> str:
    """`order_placed on web`, `90d of silence since 2015-03-12 09:00`, `an act at 2015-03-12 09:00`, `stay from v1`,
    `united anonymous:ab12`."""
    if cause.link is not None:
        return f"{cause.link.change} {cause.link.identity}"
    if cause.version is not None:
        return f"{cause.version.way} from v{cause.version.from_}"
    if cause.event is not None:
        return f"{cause.event.type} on {cause.event.channel}"
    if cause.timer is not None and not cause.timer.lasted:
        return f"an act at {minute(cause.timer.due)}"
    if cause.timer is not None:
        return f"{format_duration(cause.timer.lasted)} of silence since {minute(cause.timer.since)}"
    return cause.rule


def caused(entry: Entry) -> str:
    """The same of an entry in a profile; of one from long ago the rule is all that is known."""
    if entry.rule == LINKED and entry.type:
        return f"{entry.type} {public_key(Key(entry.channel))}"
    if entry.type:
        return f"{entry.type} on {entry.channel}"
    if entry.since >= 0:
        return f"{format_duration(entry.at - entry.since)} of silence since {minute(entry.since)}"
    return f"rule {entry.rule}"


def minute(moment: str | int | None) -> str:
    """`2015-03-12 09:00`, out of ms or RFC 3339; a dash for none."""
    if moment is None or (isinstance(moment, int) and moment < 0):
        return "–"
    text = moment if isinstance(moment, str) else format_moment(moment)
    return text[:16].replace("T", " ")


def seen_of(view: "CustomerView") -> str:
    """When the customer has acted."""
    if view.last_seen < 0:
        return "no acts here"
    return f"seen from {minute(view.first_seen)} to {minute(view.last_seen)}"


def others_of(view: "CustomerView") -> str:
    """`anonymous:ab12 (3 acts), email:1b0c… (1 act)`: who else's acts are counted here; empty for nobody."""
    others = [strand for strand in view.strands if strand.identity != view.customer]
    return ", ".join(f"{one.identity} ({one.count} {'act' if one.count == 1 else 'acts'})" for one in others)


def dead_letter_line(letter: DeadLetter) -> Text:
    """One line for a record that no lane could use."""
    text = _head(minute(letter.appended), letter.key or "–", "")
    text.append(f"{letter.reason:<18}", "bold red")
    text.append(f"{letter.message}  ")
    text.append(f"{letter.origin}  {letter.value[:80]}", "dim")
    return text


def _head(moment: str, customer: str, journey: str) -> Text:
    head = Text.assemble((minute(moment), "dim"), "  ", (f"{customer:<18}", "bold"), "  ")
    return head.append(f"{journey:<19}  ", "dim") if journey else head
