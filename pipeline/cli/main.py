"""The `journey` command: a table of its sub-commands, each imported only when it is called."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from pipeline import __version__
from pipeline.errors import UserError


class Command(NamedTuple):
    """A sub-command: `module` has a Typer called `app` (a group of commands), or a function of the command's name."""

    module: str
    help: str


COMMANDS = {
    "capacity": Command("pipeline.cli.capacity", "Reckon what a load needs, or what running workers could take."),
    "check": Command("pipeline.cli.check", "Compare topics and Redis with a slow fold of the input."),
    "dev": Command("pipeline.cli.dev", "A real Kafka and Redis on this machine, without Docker."),
    "diff": Command("pipeline.cli.diff", "Replay events through two journeys: who would be elsewhere."),
    "doctor": Command("pipeline.cli.doctor", "Look at all that a pipeline stands on, and say what mends it."),
    "draw": Command("pipeline.cli.draw", "Draw a journey: picture, diagram, or its map as a page."),
    "erase": Command("pipeline.cli.erase", "Erase a customer everywhere, and look whether they are."),
    "explain": Command("pipeline.cli.explain", "Explain why a customer is where they are, and what could come next."),
    "identity": Command("pipeline.cli.identity", "Show to whom an identity belongs; link it, merge, and undo it."),
    "ingest": Command("pipeline.cli.ingest", "Send the rows of files as raw events."),
    "lane": Command("pipeline.cli.lane", "Order a lane to stand still, or to go on."),
    "lint": Command("pipeline.cli.lint", "Judge journeys and touch tables, as a linter judges code."),
    "promote": Command("pipeline.cli.promote", "Switch all lanes to a new version of a journey, while they run."),
    "rollback": Command("pipeline.cli.promote", "Switch all lanes back to the version before the last promote."),
    "run": Command("pipeline.cli.run", "Start all of it on this machine and watch simulated customers move."),
    "shadow": Command("pipeline.cli.shadow", "Lead customers by a candidate beside the live lanes, and compare."),
    "show": Command("pipeline.cli.show", "Show one customer: stages, touches, recent events, timers."),
    "status": Command("pipeline.cli.status", "Show every lane, and why it does not move if it does not."),
    "tail": Command("pipeline.cli.tail", "Show published stage changes, signals or dead letters."),
    "test": Command("pipeline.cli.test", "Play the cases of journeys and compare."),
    "top": Command("pipeline.cli.top", "Watch the lanes live in the terminal."),
    "topics": Command("pipeline.cli.topics", "Make the topics on Kafka, compare and list them."),
    "touches": Command("pipeline.cli.touches", "Count what events are classified as, and what no row fits."),
    "transactions": Command("pipeline.cli.transactions", "List open transactions, for which readers wait; abort one."),
    "worker": Command("pipeline.cli.worker", "Fold events and publish stage changes, until a signal."),
}


class LazyGroup(TyperGroup):
    """Lists the commands from the table and imports the one that is called, so that help is quick."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, command in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=command.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in COMMANDS else found, rest


def load(name: str) -> Any:
    """The command behind a name of the table, with its options."""
    module = import_module(COMMANDS[name].module)
    group: typer.Typer | None = getattr(module, "app", None)
    if group is not None:
        return typer.main.get_group(group)
    function: Callable[..., Any] = getattr(module, name)
    single = typer.Typer(add_completion=False)
    single.command(name)(function)
    return typer.main.get_command(single)


# Plain tracebacks for what is a bug: the pretty ones print local variables, and those hold customers' data.
app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"journey {__version__}")
        raise typer.Exit


@app.callback()
def journey(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """The live customer journey: five channels in, exactly-once stage changes out."""


def run() -> None:
    """Entry point. A mistake that a person can mend is one message on stderr and exit status 2, never a traceback."""
    try:
        app(prog_name="journey")
    except UserError as error:
        print(f"journey: {error.message}", file=sys.stderr)
        sys.exit(error.exit_code)
