"""The common work on Quix Streams: one stateful dataframe, exactly-once, all settings as they come."""

from typing import Any

from quixstreams import Application, State
from rules import (
    APPLICATION,
    BROKER,
    CHANNELS,
    CUSTOMERS,
    INPUT,
    OUTPUT,
    REMEMBERED,
    SILENCE_MS,
    STATE,
    format_ms,
    parse_ms,
    rule,
)


def new_customer() -> dict[str, Any]:
    return {
        "stage": "none",
        "seq": 0,
        "entered_at": None,
        "views": 0,
        "first_seen": None,
        "last_seen": None,
        "touches": dict.fromkeys(CHANNELS, 0),
        "recent": [],
    }


def fold(event: dict[str, Any], state: State) -> list[dict[str, Any]]:
    """The transitions of one event; the customer's state is read and written as one value."""
    customer = state.get("customer") or new_customer()
    if event["id"] in customer["recent"]:
        return []
    at = parse_ms(event["occurred_at"])
    found: list[dict[str, Any]] = []

    def move(stage: str, entered_at: int, moment: str) -> None:
        customer["seq"] += 1
        found.append(
            {
                "id": f"{event['customer_id']}:{customer['seq']}",
                "customer_id": event["customer_id"],
                "seq": customer["seq"],
                "from": customer["stage"],
                "to": stage,
                "occurred_at": moment,
                "cause": event["id"],
            }
        )
        customer.update(stage=stage, entered_at=entered_at, views=0)

    customer["touches"][event["channel"]] += 1
    if customer["stage"] in CUSTOMERS and at - customer["last_seen"] > SILENCE_MS:
        lapsed_at = customer["last_seen"] + SILENCE_MS
        move("lapsed", lapsed_at, format_ms(lapsed_at))
    if event["type"] == "product_viewed":
        customer["views"] += 1
    stage = rule(customer["stage"], event["type"], customer["views"])
    if stage:
        move(stage, at, event["occurred_at"])
    customer["first_seen"] = at if customer["first_seen"] is None else min(customer["first_seen"], at)
    customer["last_seen"] = at if customer["last_seen"] is None else max(customer["last_seen"], at)
    customer["recent"].append(event["id"])
    del customer["recent"][:-REMEMBERED]
    state.set("customer", customer)
    return found


def main() -> None:
    app = Application(
        broker_address=BROKER,
        consumer_group=APPLICATION,
        state_dir=STATE,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
    )
    events = app.topic(INPUT, key_deserializer="str")
    transitions = app.topic(OUTPUT, key_serializer="str")
    app.dataframe(events).apply(fold, stateful=True, expand=True).to_topic(transitions)
    app.run()


if __name__ == "__main__":
    main()
