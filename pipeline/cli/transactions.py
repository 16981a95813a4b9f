"""`journey transactions`: transactions that are open on our topics, behind which nobody can read, and their end.

Exit status: 0 done, 1 Kafka does not answer or there is no such transaction, 2 a mistake in the call.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, Json, load_settings

if TYPE_CHECKING:
    from pipeline.adapters.kafka.ending import Open

app = typer.Typer(help="List open transactions, which readers wait for, and abort one.", no_args_is_help=True)


@app.command("list")
def list_open(
    untouched: Annotated[
        float, typer.Option(metavar="S", min=0, help="Only what nothing was added to for so long.")
    ] = 10,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List the transactions that are open on our topics: where, whose, and when Kafka ends them by itself."""
    from pipeline.adapters.kafka.ending import listed
    from pipeline.application.ports import KafkaDoubt
    from pipeline.errors import UserError

    settings = load_settings(config)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        found = asyncio.run(listed(settings, int(untouched * 1000)))
    except KafkaDoubt as doubt:
        raise UserError(str(doubt), 1) from None
    now = time.time_ns() // 1_000_000
    if as_json:
        _print_json(found)
    elif not found:
        typer.echo(f"No transaction is open that was left alone for {untouched:g} s.")
    for each in found if not as_json else ():
        typer.echo(line(each, now))


@app.command()
def abort(
    topic: Annotated[str, typer.Option("--topic", metavar="NAME", help="The topic.")],
    partition: Annotated[int, typer.Option("--partition", metavar="P", min=0, help="The partition.")],
    offset: Annotated[int, typer.Option("--offset", metavar="N", min=0, help="Where it begins, as `list` has it.")],
    force: Annotated[bool, typer.Option("--force", help="Also one of our lanes that nobody knows any more.")] = False,
    config: Config = None,
) -> None:
    """Abort a transaction that its sender left open: what is in it is never read, and the sender is fenced."""
    from pipeline.adapters.kafka.ending import abort as end
    from pipeline.application.ports import KafkaDoubt
    from pipeline.errors import UserError

    settings = load_settings(config)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        whose = asyncio.run(end(settings, topic, partition, offset, force))
    except KafkaDoubt as doubt:
        raise UserError(str(doubt), 1) from None
    typer.echo(f"The transaction of {whose} that began at offset {offset} of {topic}-{partition} is aborted.")


def line(found: "Open", now: int) -> str:
    """`raw.web-2 from offset 3477: crm-import, untouched for 51 s, Kafka aborts it in 249 s`."""
    each = found.transaction
    whose = each.transactional_id or f"producer {each.producer_id}, which no coordinator knows"
    end = (
        "nobody will end it" if found.ends_at is None else f"Kafka aborts it in {max(0, found.ends_at - now) // 1000} s"
    )
    age = max(0, now - each.last_ms) // 1000
    return f"{each.topic}-{each.partition} from offset {each.start}: {whose}, untouched for {age} s, {end}"


def _print_json(found: "list[Open]") -> None:
    import orjson

    content = [
        {
            "topic": each.transaction.topic,
            "partition": each.transaction.partition,
            "offset": each.transaction.start,
            "last_ms": each.transaction.last_ms,
            "transactional_id": each.transaction.transactional_id,
            "producer_id": each.transaction.producer_id,
            "ends_at": each.ends_at,
        }
        for each in found
    ]
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
