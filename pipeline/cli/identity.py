"""`journey identity`: to whom an identity belongs, and orders that change it. They stand on `journey.commands`.

Exit status: 0 shown, or the order is written, 1 nobody of that name is known or Kafka or Redis does not answer, 2 a
mistake.
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.adapters.identity_seen import IdentityView
    from pipeline.domain.identity import Key

app = typer.Typer(
    help="Show to whom an identity belongs; link identities to customers, and undo it; name those that are hot."
)

_FORMS = "A customer id, or kind:value, such as email:anna@example.org."
Identity = Annotated[str, typer.Argument(metavar="IDENTITY", help=_FORMS)]
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="A customer id.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the order. Without names or addresses.")
]


@app.command()
def show(identity: Identity, config: Config = None, as_json: Json = False) -> None:
    """Show to whom an identity belongs and why, what it did, and who claims it."""
    from pipeline.adapters.customer_view import unknown
    from pipeline.adapters.identity_seen import typed_identity

    settings = load_settings(config)
    _, seen = typed_identity(settings, identity)
    if seen is None:
        raise unknown(settings, identity)
    if as_json:
        _print_json(seen)
        return
    from pipeline.cli.identity_lines import show as show_lines

    show_lines(_console(), seen)


@app.command()
def hot(
    lane: Annotated[int | None, typer.Option(min=0, metavar="P", help="This lane only.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Name the identities that take most of what a lane does now."""
    import asyncio
    import logging
    import time

    from pipeline.adapters.lanes_seen import look
    from pipeline.errors import UserError

    settings = load_settings(config)
    if lane is not None and lane >= settings.partitions:
        raise UserError(f"there is no lane {lane}: there are {settings.partitions}, from 0 on")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    seen = asyncio.run(look(settings, time.time_ns() // 1_000_000))
    lanes = [each for each in seen.lanes if lane in {None, each.partition}]
    found = [(share, each.partition, who) for each in lanes for who, share in each.hot.items()]
    found.sort(key=lambda one: (-one[0], one[1], one[2]))
    if as_json:
        import orjson

        content = [{"identity": who, "lane": partition, "share": share} for share, partition, who in found]
        typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
        return
    from pipeline.cli.identity_lines import show_hot

    show_hot(_console(), found, [each.partition for each in lanes if each.state == "unowned"])


@app.command()
def link(identity: Identity, customer: Customer, reason: Reason, config: Config = None) -> None:
    """Say that an identity belongs to a customer, as if an event had named both."""
    _order("link", identity, customer, reason, config)


@app.command()
def merge(
    one: Annotated[str, typer.Argument(metavar="CUSTOMER", help="A customer id.")],
    other: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Another; the larger id joins the smaller.")],
    reason: Reason,
    config: Config = None,
) -> None:
    """Say that two customers are one person: the larger id joins the smaller."""
    _order("merge", one, other, reason, config)


@app.command()
def block(identity: Identity, customer: Customer, reason: Reason, config: Config = None) -> None:
    """Keep an identity from a customer who claims it, whatever events say; what it did leaves them."""
    _order("block", identity, customer, reason, config)


@app.command()
def unblock(identity: Identity, customer: Customer, reason: Reason, config: Config = None) -> None:
    """Take a block back: what events and links say counts again."""
    _order("unblock", identity, customer, reason, config)


@app.command()
def split(
    one: Annotated[str, typer.Argument(metavar="CUSTOMER", help="A customer id.")],
    other: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The other one of the merge.")],
    reason: Reason,
    config: Config = None,
) -> None:
    """Undo a merge: the larger id is kept from the smaller."""
    _order("split", one, other, reason, config)


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


_COMMANDS = {"merge": "link", "split": "block"}
"""What is written for orders that are another one about two customers."""


def _order(order: str, one: str, other: str, reason: str, config: Config) -> None:
    from pipeline.adapters.identity_seen import typed_identity
    from pipeline.adapters.kafka.sender import home_partition
    from pipeline.cli.ordering import send_order
    from pipeline.domain.identity import Key, public_key
    from pipeline.domain.ownership import is_customer
    from pipeline.domain.stitching import order_of
    from pipeline.errors import UserError

    settings = load_settings(config)
    (first, seen), (second, known) = typed_identity(settings, one), typed_identity(settings, other)
    if first == second:
        raise UserError(f"{one} and {other} are the same identity; nothing was ordered")
    if order in _COMMANDS and not (is_customer(first) and is_customer(second)):
        weak = other if is_customer(first) else one
        raise UserError(f"{order} is for two customers, and {weak} is none; see link and block. Nothing was ordered")
    if not is_customer(second):
        hint = f"; did you mean `journey identity {order} {other} {one}`?" if is_customer(first) else "."
        raise UserError(f"{other} is no customer, and only customers own identities{hint} Nothing was ordered")
    command = _COMMANDS.get(order, order)
    to = Key(order_of(command, first, second).to)
    lane = home_partition(public_key(to).encode(), settings.partitions)
    content = {"command": command, "identity": public_key(first), "customer": public_key(second), "reason": reason}
    place = send_order(settings, lane, content, "these identities")
    moved = max(first, second) if is_customer(first) else first
    typer.echo(f"Ordered: {_said(order, first, second)} ({place}).")
    for key, found in ((first, seen), (second, known)):
        if found is None:
            waits = f": the {order} waits for it." if key == moved else "; is it the right one?"
            typer.echo(f"Nobody is known as {public_key(key)} yet{waits}")
    if command == "block":
        _warn_of_others(moved, seen if moved == first else known, min(first, second) if is_customer(first) else second)
    typer.echo(f"`journey identity show {public_key(moved)}` says when it is done.")


def _said(order: str, first: "Key", second: "Key") -> str:
    """The order as a sentence about public keys."""
    from pipeline.domain.identity import public_key
    from pipeline.domain.ownership import is_customer

    if is_customer(first):  # of two customers the larger moves, whatever came first
        first, second = max(first, second), min(first, second)
    one, other = public_key(first), public_key(second)
    return {
        "link": f"{one} belongs to {other}",
        "merge": f"{one} joins {other}",
        "block": f"{one} is kept from {other}",
        "unblock": f"{one} is no longer kept from {other}",
        "split": f"{one} leaves {other}",
    }[order]


def _warn_of_others(identity: "Key", seen: "IdentityView | None", customer: "Key") -> None:
    """A block counts for the customer who claims, who may be another than the one to whom that leads."""
    from pipeline.domain.identity import public_key

    if seen is None:
        return
    through = [claim.customer for claim in seen.claims if claim.counts and claim.leads_to == public_key(customer)]
    if through and public_key(customer) not in through:
        names = " and ".join(through)
        typer.echo(f"But it is there through {names}: to take it away, block {public_key(identity)} from {names}.")


def _print_json(seen: "IdentityView") -> None:
    from dataclasses import asdict

    import orjson

    content = asdict(seen)
    content["claims"] = [{**asdict(claim), "counts": claim.counts} for claim in seen.claims]
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
