"""Writing an order of a person to `journey.commands`, with its reason."""

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.config import Settings


def send_order(settings: "Settings", lane: int, order: Mapping[str, object], whom: str) -> str:
    """Writes `order` to its lane and returns where it stands; UserError without a reason, or if Kafka has it not.

    `whom` it concerns, for people: they are asked for the reason by that.
    """
    import orjson

    from pipeline.adapters.kafka.sender import RawSender
    from pipeline.errors import UserError

    if not str(order["reason"]).strip():
        raise UserError(f"--reason must say why: whoever looks at {whom} later will want to know")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    identifier = uuid.uuid4().hex
    content = {"id": identifier, **order, "lane": lane, "at": time.time_ns() // 1_000_000}
    topic = settings.topic("journey.commands")

    async def send() -> None:
        async with RawSender(settings.brokers, [topic]) as sender:
            if sender.partitions[topic] != settings.partitions:
                raise UserError(
                    f"{topic} has {sender.partitions[topic]} partitions and the settings say {settings.partitions}; "
                    "see `journey topics check`",
                    1,
                )
            sender.put(topic, lane, identifier.encode(), orjson.dumps(content))
            await sender.flush()

    asyncio.run(send())
    return f"{topic}-{lane}"
