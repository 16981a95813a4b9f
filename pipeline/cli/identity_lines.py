"""One identity for people: to whom it belongs and why, what it did, who claims it."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.adapters.identity_seen import SOMEBODY, IdentityView, StrandView
from pipeline.cli.lines import minute
from pipeline.domain.ownership import ERASED


def show(console: Console, seen: IdentityView) -> None:
    """All of it."""
    owner = {
        "own": "[bold]its own[/]",
        "shared": "[yellow]shared: it belongs to nobody[/]",
    }.get(seen.status, f"belongs to [bold]{escape(seen.owner)}[/]")
    console.print(f"[bold]{escape(seen.identity)}[/]  {owner}  [dim]lane {seen.lane}[/]")
    for sentence in seen.why:
        console.print(f"  {escape(sentence)}")
    if seen.claims:
        console.print("\n[bold]claimed by[/]")
    for claim in seen.claims:
        customer = claim.customer
        if customer == ERASED:
            customer, state = SOMEBODY, "it stays shared"
        elif claim.blocked:
            state = "[yellow]blocked[/]"
        elif claim.leads_to is None:
            state = "[yellow]no room there[/]"
        else:
            state = f"leads to {escape(claim.leads_to)}"
        console.print(f"  {escape(customer)}  {state}")
    waiting = [customer for customer in seen.blocked if customer not in {claim.customer for claim in seen.claims}]
    if waiting:
        console.print(f"\n[bold]kept from[/] {escape(', '.join(waiting))}, who do not claim it yet")
    if seen.strands:
        console.print("\n[bold]identities here[/]")
    width = max((len(strand.identity) for strand in seen.strands), default=0)
    for strand in seen.strands:
        _strand(console, strand, width)
    if seen.away is not None:
        console.print(f"\n[bold]what it did[/], at {escape(seen.owner)}")
        _strand(console, seen.away, 0)
    for reason, count in seen.refused.items():
        console.print(f"  [yellow]refused {count} {'time' if count == 1 else 'times'}: {reason}[/]")


def show_hot(console: Console, found: Sequence[tuple[float, int, str]], unowned: Sequence[int]) -> None:
    """Each with its share of a lane (0 to 1), the lane, and its public key. `unowned`: lanes that nobody speaks for."""
    if unowned:
        console.print(f"[yellow]without an owner, so nothing is known: lane {', '.join(map(str, unowned))}[/]")
    if not found:
        console.print("No identity has 5 % of what its lane did within the last minute.")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("of the lane", justify="right")
    table.add_column("lane", justify="right")
    table.add_column("identity", overflow="fold")
    for share, lane, who in found:
        table.add_row(f"{share:.0%}", str(lane), escape(who))
    console.print(table)
    console.print(f"[dim]`journey identity show {escape(found[0][2])}` says what it is.[/]", soft_wrap=True)


def _strand(console: Console, strand: StrandView, width: int) -> None:
    acts = [f"{channel} {count}" for channel, count in strand.acts.items() if count]
    acts += [f"by the company {strand.company_acts}"] if strand.company_acts else []
    acts += [f"too late {strand.late}"] if strand.late else []
    did = "  ".join(acts) or "no acts"
    if strand.last_seen is not None:
        did += f"  [dim]{minute(strand.first_seen)} to {minute(strand.last_seen)}[/]"
    console.print(f"  {escape(strand.identity.ljust(width))}  {did}", soft_wrap=True)
    if strand.claims:
        console.print(f"    claims {escape(', '.join(strand.claims))}", soft_wrap=True)
