"""`journey erase`: takes somebody out of everything, says what was deleted where, and looks whether it is.

Exit status: 0 erased, or nothing is left that should be gone, 1 something is left, nobody of that name is known, the
lanes have not done it in time, or Kafka or Redis does not answer, 2 a mistake.
"""

import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from pipeline.adapters.erasing_seen import Taken
    from pipeline.config import Settings
    from pipeline.domain.identity import Key


def erase(
    customer: Annotated[
        str, typer.Argument(metavar="CUSTOMER", help="A customer id, or kind:value of somebody without one.")
    ],
    reason: Annotated[
        str,
        typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the order. Without names or addresses."),
    ] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Order nothing; search every topic and table for what should be gone.")
    ] = False,
    wait: Annotated[float, typer.Option("--wait", metavar="S", help="How long the lanes are waited for.")] = 60.0,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Erase a customer with all of their identities, and print what was deleted where."""
    from pipeline.adapters.identity_kinds import typed_key

    settings = load_settings(config)
    key = typed_key(settings, customer)
    if verify:
        _verify(settings, key, as_json)
    else:
        _erase(settings, key, customer, reason, wait, as_json)


def _erase(settings: "Settings", key: "Key", typed: str, reason: str, wait: float, as_json: bool) -> None:
    from pipeline.adapters import erasing_seen
    from pipeline.adapters.customer_view import unknown
    from pipeline.adapters.erasing_search import search
    from pipeline.cli import erase_lines
    from pipeline.cli.ordering import send_order
    from pipeline.domain.identity import Key, public_key
    from pipeline.errors import UserError

    public = public_key(key)
    with erasing_seen.Tables(settings) as tables:
        found = tables.find(key)
        profile = found.profile
        if profile is None and found.mark is not None:
            raise UserError(f"{public} is erased already; `journey erase {public} --verify` looks for rests", 1)
        if profile is None:
            raise unknown(settings, typed)
        if profile.to:
            owner = public_key(Key(profile.to))
            raise UserError(
                f"{public} belongs to {owner}, and is erased with that one only: `journey erase {owner}`. To erase it "
                f"alone, take it from there first (`journey identity show {public}`). Nothing was ordered"
            )
        names, acts = erasing_seen.known_to(profile), erasing_seen.acts_of(profile)
        mentioned = erasing_seen.mentioning(tables, erasing_seen.customers_of(profile))
        order = uuid.uuid4().hex
        content = {
            "id": order,
            "command": "erase",
            "identity": public,
            "mentioned": [public_key(each) for each in mentioned],
            "reason": reason,
        }
        place = send_order(settings, found.lane, content, "this erasure")
        done = erasing_seen.wait_for(tables, key, order, [*dict.fromkeys((*names, *mentioned))], acts, wait)
    if done is None:
        raise UserError(
            f"ordered ({place}), but the lanes have not done it within {wait:.0f} s: `journey status` says why, and "
            f"`journey erase {public} --verify` whether it is done",
            1,
        )
    at, taken = done
    kept = search(settings, key).kept
    if as_json:
        _print_receipt(settings, place, at, taken, kept)
    else:
        erase_lines.show_receipt(settings, public, place, at, taken, kept)


def _verify(settings: "Settings", key: "Key", as_json: bool) -> None:
    from dataclasses import asdict

    import orjson

    from pipeline.adapters.erasing_search import search
    from pipeline.cli import erase_lines

    searched = search(settings, key)
    if as_json:
        typer.echo(orjson.dumps(asdict(searched), option=orjson.OPT_INDENT_2).decode())
    else:
        erase_lines.show_search(searched, key)
    if searched.rests or searched.erased_at is None:
        raise typer.Exit(1)


def _print_receipt(settings: "Settings", place: str, at: int, taken: "list[Taken]", kept: object) -> None:
    import orjson

    from pipeline.cli.erase_lines import places

    content = {
        "order": place,
        "erased_at": at,
        "identities": [
            {"identity": each.key, "lane": each.lane, "became": each.became, "acts": each.acts,
             "deleted": places(settings, each) if each.became == "erased" else []}
            for each in taken
        ],
        "kept": kept,
    }  # fmt: skip
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
