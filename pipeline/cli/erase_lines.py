"""The receipt of an erasure, and what a search for rests has found, as lines for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer

from pipeline.domain.duration import format_duration
from pipeline.domain.identity import Key, public_key
from pipeline.domain.moments import format_moment

if TYPE_CHECKING:
    from pipeline.adapters.erasing_search import Kept, Searched
    from pipeline.adapters.erasing_seen import Taken
    from pipeline.config import Settings

LOGS: Final = "logs of workers hold no identity but its hash; they go with your own log retention"


def places(settings: "Settings", taken: "Taken") -> list[str]:
    """Where the records of an erased identity were."""
    lane = taken.lane
    return [
        f"{settings.topic('journey.profiles')}-{lane}",
        f"{settings.topic('journey.customers')}-{lane}",
        f"Redis {settings.table_key(lane)}",
    ]


def show_receipt(
    settings: "Settings", public: str, place: str, at: int, taken: "Sequence[Taken]", kept: "Sequence[Kept]"
) -> None:
    typer.echo(f"{public} is erased, as of {_moment(at)} ({place}).")
    typer.echo("\ndeleted")
    for each in taken:
        if each.became == "erased":
            acts = f"{each.acts} act{'' if each.acts == 1 else 's'}"
            typer.echo(f"  {public_key(each.key)}  lane {each.lane}, {acts}: {', '.join(places(settings, each))}")
    others = [each for each in taken if each.became == "kept"]
    if others:
        typer.echo("\nkept, without any mention of those above")
        for each in others:
            typer.echo(f"  {public_key(each.key)}  lane {each.lane}")
    _show_kept(kept)


def show_search(searched: "Searched", key: Key) -> None:
    public = public_key(key)
    if searched.erased_at is None:
        typer.echo(f"No erasure of {public} is remembered: it was never erased, or so long ago that even this is gone.")
    else:
        typer.echo(f"{public} was erased as of {_moment(searched.erased_at)}.")
    others = [public_key(each) for each in searched.identities if each != key]
    if others:
        typer.echo(f"with it  {', '.join(others)}")
    for each in searched.back:
        typer.echo(f"{public_key(each)} has come back since, and began anew: what is known of it is of then.")
    typer.echo(f"searched  {searched.fields:,} fields in Redis, {searched.records:,} records in all topics")
    if searched.rests:
        typer.echo(f"\nstill there, and should be gone: {len(searched.rests)}")
        for rest in searched.rests:
            typer.echo(f"  {rest.where}  {rest.what}")
    else:
        typer.echo("Nothing is left that should be gone.")
    _show_kept(searched.kept)


def _show_kept(kept: "Sequence[Kept]") -> None:
    if kept:
        typer.echo("\nkept until Kafka removes it")
    for each in kept:
        number = f"{each.records} record{'' if each.records == 1 else 's'}"
        if each.after_ms is None:
            typer.echo(f"  {each.topic}  {number}: for ever, {each.setting} is not set")
        else:
            until, after = _moment(each.newest + each.after_ms), format_duration(each.after_ms)
            typer.echo(f"  {each.topic}  {number}, until {until} and a segment more ({each.setting} {after})")
    typer.echo(f"  {LOGS}")


def _moment(at: int) -> str:
    return format_moment(at)[:16].replace("T", " ")
