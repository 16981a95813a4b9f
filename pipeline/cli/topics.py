"""`journey topics`: make the topics, compare them with what they must be, list them.

Exit status: 0 all is as it must be, 1 it is not (or Kafka does not answer), 2 a mistake in the call or the settings.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from pipeline.adapters.kafka.topics import Difference, TopicState
    from pipeline.config import Settings

Answer = TypeVar("Answer")

app = typer.Typer(help="Make the topics on Kafka, compare them with schemas/topics/, list them.", no_args_is_help=True)

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The settings [default: JOURNEY_CONFIG].")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]


@app.command()
def apply(
    config: Config = None,
    as_json: Json = False,
    recommended: Annotated[bool, typer.Option("--recommended", help="Set what is only recommended, too.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also change inputs and cleanup policies, and add partitions where it is safe."),
    ] = False,
    replication: Annotated[
        int | None, typer.Option(min=1, help="Copies of each new topic [default: 3, or as many as there are brokers].")
    ] = None,
) -> None:
    """Make the topics that are missing, and set on the others what a worker needs. No topic is ever deleted."""
    from pipeline.adapters.kafka import topics

    settings = _settings(config)
    done = _ask(topics.apply(settings, replication=replication, recommended=recommended, force=force))
    if as_json:
        _print_json({"changed": _rows(done.changed), "differences": _rows(done.left)})
    else:
        for each in done.changed:
            was = f" (was {each.found})" if each.found is not None else ""
            change = f"{each.setting} = {each.value}{was}" if each.value else "made"
            typer.echo(f"{each.topic}: {change}")
        _show(done.left)
    _leave(done.left)


@app.command()
def check(
    config: Config = None,
    as_json: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit status 1 for what is only recommended, too.")] = False,
) -> None:
    """Compare the topics on Kafka with what they must be; change nothing."""
    from pipeline.adapters.kafka import topics

    found = _ask(topics.check(_settings(config)))
    if as_json:
        _print_json({"differences": _rows(found)})
    else:
        _show(found)
    _leave(found, strict)


@app.command("list")
def list_(config: Config = None, as_json: Json = False) -> None:
    """List every topic with its purpose, and how it stands."""
    from pipeline.adapters.kafka import topics

    states = _ask(topics.list_topics(_settings(config)))
    if as_json:
        _print_json({"topics": [_described(state) for state in states]})
    else:
        _show_table(states)
    if any(state.state in {"differs", "missing"} for state in states):
        raise typer.Exit(1)


def _settings(config: Path | None) -> "Settings":
    from pipeline.config import load

    return load(config)


def _ask(question: Awaitable[Answer]) -> Answer:
    # aiokafka logs each address that does not answer; the one sentence that is printed in the end says enough.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    async def answer() -> Answer:
        return await question

    return asyncio.run(answer())


def _show(found: "Sequence[Difference]") -> None:
    from pipeline.adapters.kafka.topics import report

    wrong = [each for each in found if each.required]
    better = [each for each in found if not each.required]
    if wrong:
        typer.echo("A worker does not start with these:\n" + report(wrong))
    if better:
        typer.echo("These could be better:\n" + report(better))
    if not found:
        typer.echo("All topics are as they should be.")


def _leave(found: "Sequence[Difference]", strict: bool = False) -> None:
    if any(each.required or strict for each in found):
        raise typer.Exit(1)


def _show_table(states: "Sequence[TopicState]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("topic", "role", "partitions", "copies", "state", "schemas", "for what", box=None, pad_edge=False)
    colours = {"as wanted": "green", "could be better": "yellow", "differs": "red", "missing": "red"}
    for state in states:
        file, colour = state.plan.file, colours[state.state]
        table.add_row(
            state.plan.name,
            file.role,
            _number(state.partitions),
            _number(state.replicas),
            f"[{colour}]{state.state}[/]",
            ", ".join(dict.fromkeys(file.schemas)),
            file.description.strip().partition(". ")[0].rstrip("."),
        )
    # Only a screen has a width: a file or a pipe gets whole lines.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)


def _number(count: int | None) -> str:
    return "-" if count is None else str(count)


def _described(state: "TopicState") -> dict[str, object]:
    file = state.plan.file
    return {
        "name": state.plan.name,
        "role": file.role,
        "owner": file.owner,
        "description": file.description.strip(),
        "state": state.state,
        "partitions": {"wanted": str(state.plan.partitions), "found": state.partitions},
        "replicas": state.replicas,
        "records": [kind.model_dump() for kind in file.records],
        "config": {
            name: {"wanted": str(bound), "required": bound.required, "why": bound.why}
            for name, bound in state.plan.config.items()
        },
    }


def _rows(found: "Sequence[Difference]") -> list[dict[str, object]]:
    return [asdict(each) for each in found]


def _print_json(content: object) -> None:
    import orjson

    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
