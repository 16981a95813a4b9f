"""The common work on stock faust-streaming as documented: an agent and a table on RocksDB, at least once."""

import sys

import faust
from rules import (
    APPLICATION,
    BROKER,
    CHANNELS,
    CUSTOMERS,
    INPUT,
    LANES,
    OUTPUT,
    REMEMBERED,
    SILENCE_MS,
    STATE,
    format_ms,
    parse_ms,
    rule,
)

app = faust.App(APPLICATION, broker=f"kafka://{BROKER}", store="rocksdb://", datadir=STATE, topic_partitions=LANES)


class Event(faust.Record, serializer="json"):
    """What is read."""

    id: str
    type: str
    channel: str
    source: str
    customer_id: str
    occurred_at: str
    properties: dict


class Customer(faust.Record, serializer="json"):
    """What is kept of each."""

    touches: dict[str, int]
    recent: list[str]
    stage: str = "none"
    seq: int = 0
    entered_at: int | None = None
    views: int = 0
    first_seen: int | None = None
    last_seen: int | None = None


events = app.topic(INPUT, key_type=str, key_serializer="raw", value_type=Event)
transitions = app.topic(OUTPUT, key_type=str, key_serializer="raw", value_serializer="json")
customers = app.Table("customers", key_type=str, value_type=Customer, partitions=LANES)


def fold(customer: Customer, event: Event) -> list[dict]:
    """The transitions of one event."""
    at = parse_ms(event.occurred_at)
    found = []

    def move(stage: str, entered_at: int, moment: str) -> None:
        customer.seq += 1
        found.append(
            {
                "id": f"{event.customer_id}:{customer.seq}",
                "customer_id": event.customer_id,
                "seq": customer.seq,
                "from": customer.stage,
                "to": stage,
                "occurred_at": moment,
                "cause": event.id,
            }
        )
        customer.stage, customer.entered_at, customer.views = stage, entered_at, 0

    customer.touches[event.channel] += 1
    if customer.stage in CUSTOMERS and at - customer.last_seen > SILENCE_MS:
        lapsed_at = customer.last_seen + SILENCE_MS
        move("lapsed", lapsed_at, format_ms(lapsed_at))
    if event.type == "product_viewed":
        customer.views += 1
    stage = rule(customer.stage, event.type, customer.views)
    if stage:
        move(stage, at, event.occurred_at)
    customer.first_seen = at if customer.first_seen is None else min(customer.first_seen, at)
    customer.last_seen = at if customer.last_seen is None else max(customer.last_seen, at)
    customer.recent = [*customer.recent, event.id][-REMEMBERED:]
    return found


@app.agent(events)
async def stitch(stream: faust.Stream) -> None:
    async for key, event in stream.items():
        customer = customers.get(key) or Customer(touches=dict.fromkeys(CHANNELS, 0), recent=[])
        if event.id in customer.recent:
            continue
        for transition in fold(customer, event):
            await transitions.send(key=key, value=transition)
        customers[key] = customer


if __name__ == "__main__":
    sys.argv[1:] = ["-L", "uvloop", "worker", "-l", "warn", "--without-web"]
    app.main()
