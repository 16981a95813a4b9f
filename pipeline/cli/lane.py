"""`journey lane`: orders to a lane: to stand still, or to go on if it waits for a person.

They stand on `journey.commands`, with their reason.

Exit status: 0 the order is written, 1 Kafka or Redis does not answer or the lane needs no such order, 2 a mistake.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.settings import Config, load_settings

if TYPE_CHECKING:
    from pipeline.config import Settings

app = typer.Typer(help="Order a lane to stand still, or one that waits for a person to go on.", no_args_is_help=True)

Lane = Annotated[int, typer.Option("--lane", min=0, metavar="P", help="The lane's number.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the order.")]


@app.command()
def pause(lane: Lane, reason: Reason, config: Config = None) -> None:
    """Let a lane stand still, over restarts too, until `resume`. Its input waits in Kafka; no timer fires anywhere."""
    _order(_settings(config, lane), lane, {"command": "pause", "reason": reason})


@app.command()
def resume(lane: Lane, reason: Reason, config: Config = None) -> None:
    """Let a lane go on that was paused, or that the breaker has stopped because its fold failed."""
    from pipeline.adapters.lanes_seen import lane_records
    from pipeline.errors import UserError

    settings = _settings(config, lane)
    _, record = lane_records(settings)[lane]
    if record is not None and record.breaker is None and record.paused is None:
        raise UserError(
            f"lane {lane} is neither paused nor stopped by the breaker; `journey status` says how it is. "
            "Nothing was ordered",
            1,
        )
    _order(settings, lane, {"command": "resume", "reason": reason})


@app.command()
def skip(
    lane: Lane,
    reason: Reason,
    topic: Annotated[
        str | None, typer.Option("--topic", metavar="NAME", help="Only of this input (default: of all).")
    ] = None,
    config: Config = None,
) -> None:
    """Give up unread input that Kafka's retention has removed; the lane goes on with what is left."""
    from pipeline.adapters.yaml_documents import closest
    from pipeline.errors import UserError

    settings = _settings(config, lane)
    inputs = (*settings.input_topics, settings.topic("journey.events"), settings.topic("journey.commands"))
    if topic is not None and topic not in inputs:
        near = closest(topic, inputs)
        raise UserError(f"{topic} is no input of the lanes" + (f"; did you mean '{near}'?" if near else ""))
    _order(settings, lane, {"command": "skip", "reason": reason, "topic": topic})


def _settings(config: Path | None, lane: int) -> "Settings":
    from pipeline.errors import UserError

    settings = load_settings(config)
    if lane >= settings.partitions:
        raise UserError(f"there is no lane {lane}: lanes are 0 to {settings.partitions - 1}")
    return settings


def _order(settings: "Settings", lane: int, order: dict[str, object]) -> None:
    from pipeline.cli.ordering import send_order

    place = send_order(settings, lane, order, "this lane")
    typer.echo(f"Ordered lane {lane} to {order['command']} ({place}); `journey status` shows when it has.")
