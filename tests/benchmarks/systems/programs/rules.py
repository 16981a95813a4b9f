"""The rules of the common work, shared by the Python programs. The oracle has its own."""

import os
from datetime import UTC, datetime, timedelta

SILENCE_MS = 30 * 86_400_000
CHANNELS = ("web", "email", "social", "phone", "store")
CUSTOMERS = frozenset(("purchase", "retention", "advocacy"))
BEFORE_PURCHASE = frozenset(("none", "awareness", "consideration", "lapsed"))
REMEMBERED = 16

BROKER = os.environ["WORK_BROKER"]
INPUT = os.environ["WORK_INPUT"]
OUTPUT = os.environ["WORK_OUTPUT"]
APPLICATION = os.environ["WORK_ID"]
STATE = os.environ["WORK_STATE"]
LANES = int(os.environ["WORK_LANES"])

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def parse_ms(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // _MS


def format_ms(ms: int) -> str:
    return (_EPOCH + ms * _MS).isoformat(timespec="milliseconds")[:-6] + "Z"


def rule(stage: str, kind: str, views: int) -> str | None:
    """The stage that the event moves to."""
    if kind == "order_placed" and stage in BEFORE_PURCHASE:
        return "purchase"
    if stage == "none":
        return "awareness"
    if stage == "awareness":
        return "consideration" if kind in {"cart_added", "email_clicked"} or views >= 3 else None
    if stage == "lapsed":
        return "consideration"
    if stage == "purchase" and kind in {"order_placed", "support_requested"}:
        return "retention"
    if stage in {"purchase", "retention"} and kind in {"referral_sent", "review_written"}:
        return "advocacy"
    return None
