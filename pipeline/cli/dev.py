"""`journey dev`: the embedded stack in the foreground; its data; what it needs fetched ahead."""

import signal
from pathlib import Path
from typing import Annotated

import typer

DATA = Path(".dev/stack")

app = typer.Typer(help="A real Kafka and Redis on this machine, without Docker.")

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Where the servers keep their data and logs.")]


@app.callback(invoke_without_command=True)
def dev(
    ctx: typer.Context,
    data: Data = DATA,
    kafka_port: Annotated[int, typer.Option(min=0, max=65535, help="0 chooses a free one.")] = 29092,
    redis_port: Annotated[int, typer.Option(min=0, max=65535, help="0 chooses a free one.")] = 26379,
) -> None:
    """Run Kafka and Redis in the foreground until Ctrl-C; what they hold is kept in DIR."""
    if ctx.invoked_subcommand is not None:
        return
    from pipeline.dev.stack import Stack

    for number in (signal.SIGINT, signal.SIGTERM):  # a shell in the background would have the first one ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with Stack(data, kafka_port, redis_port) as stack:
            typer.echo(
                f"Kafka  {stack.bootstrap}\nRedis  {stack.redis_url}\ndata   {data}; `journey dev reset` removes it"
            )
            typer.echo("Ctrl-C stops both.")
            stack.wait()
    except KeyboardInterrupt:
        typer.echo("Stopped.")


@app.command()
def reset(data: Data = DATA) -> None:
    """Remove what the stack keeps: topics, tables, logs."""
    from pipeline.dev.stack import reset as remove

    typer.echo(f"{data} removed." if remove(data) else f"{data} is not there; nothing to remove.")


@app.command()
def prepare() -> None:
    """Fetch Kafka and make Java's class archive now, so that no later start waits for them or needs the network."""
    from pipeline.dev.stack_jars import cache, jars
    from pipeline.dev.stack_redis import redis_server
    from pipeline.dev.stack_training import train

    redis_server()
    count = len(jars())
    made = train()
    typer.echo(f"{count} jars and the class archive {'are now' if made else 'were already'} in {cache()}.")
