"""Constant traffic on all five channels: out of order, twice, late, to any partition, and now and then poison."""

import itertools
import json
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.harness.application import DAY, Application
from tests.harness.sending import Sender, Sent

JOURNEY: dict[str, Any] = {
    "journey": "shop",
    "version": 1,
    "stages": [
        {"id": "seen", "enter": {"from": "start", "when": ["saw_content", "viewed_product"]}},
        {"id": "keen", "enter": {"from": "seen", "when": "viewed_product", "count": 3, "within": "20s"}},
        {"id": "choosing", "enter": {"when": "cart"}},
        {"id": "bought", "enter": [{"when": "ordered"}, {"from": "cold", "when": "ordered", "back": True}]},
        {"id": "cold", "enter": {"from": ["keen", "choosing", "bought"], "after": "4s", "since": "last any"}},
    ],
    "signals": {
        "cart_left": {"after": "3s", "since": "last cart", "unless": "ordered", "expires": "24h"},
        "quiet": {"after": "2s", "since": "entered choosing"},
    },
}
"""Beside the built-in journey, whose silences last for days: silences that are over within seconds."""

LONGEST_SILENCE_MS = 4_000

TYPES = {
    "web": ["page_viewed", "product_viewed", "product_viewed", "cart_added", "order_placed", "page_scrolled"],
    "email": ["email_opened", "email_clicked", "email_sent"],
    "social": ["post_liked", "ad_clicked", "referral_sent"],
    "phone": ["call_made", "support_requested"],
    "store": ["store_visited", "order_placed", "cart_updated", "review_written"],
}

ACTIVE = 500
LIFE = 16
"""Events a customer, after which a new one comes: far from the limit of what is remembered."""

VETERANS = 40
"""Customers whose events of today were folded before anything is done, so that what comes from days ago is late."""

LATE, TWICE, POISON = 0.01, 0.02, 0.003
DELAYED, LONG_DELAYED = 0.10, 0.02
"""Shares of events that come some seconds, and some minutes, after they happened."""

_TICK_S = 0.02
_RECENT = 3_000


@dataclass(slots=True)
class Person:
    """A customer: `name` as published, `fields` as their events say it, `left` events to come, `times` taken (ms)."""

    name: str
    fields: dict[str, Any]
    left: int = LIFE
    times: set[int] = field(default_factory=set)


class Traffic:
    """Sends `rate` events a second from a thread of its own, between `start` and `stop`."""

    def __init__(self, app: Application, seed: int, rate: float) -> None:
        self.silent: set[str] = set()
        """Channels that send nothing for now."""
        self.failure: BaseException | None = None
        self._sender: Sender = app.sender
        self._rate = rate
        self._chance = random.Random(f"{seed}/traffic")
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._people = [self._person() for _ in range(ACTIVE)]
        self._veterans = [Person(f"veteran{number}", {}) for number in range(VETERANS)]
        self._recent: deque[Sent] = deque(maxlen=_RECENT)
        self._asked = 0
        self._poison = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    @property
    def names(self) -> list[str]:
        """Some of the customers who are about now."""
        return [person.name for person in self._people]

    @property
    def outstanding(self) -> int:
        """Events of floods and poison that are not sent yet."""
        return self._asked + self._poison

    def begin_veterans(self) -> None:
        """What the veterans do today; must be folded before `start`."""
        for person in self._veterans:
            for _ in range(2):
                self._sender.put(self._event(person, "web", "page_viewed", 0))
        self._sender.flush()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns once nothing more is sent, and what was sent is acknowledged."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._sender.flush()

    def flood(self, events: int) -> None:
        """So many more, as fast as they can be sent."""
        self._asked += events

    def poison(self, records: int) -> None:
        """So many records that are no events."""
        self._poison += records

    def some(self, events: int) -> list[Sent]:
        """Events for somebody else to send: they are in no ledger yet."""
        return [self._usual() for _ in range(events)]

    def _run(self) -> None:
        began, sent = time.monotonic(), 0
        try:
            while not self._stopping.wait(_TICK_S):
                due = int((time.monotonic() - began) * self._rate)
                for _ in range(min(due - sent, 200)):
                    self._one()
                    sent += 1
                while self._asked and not self._stopping.is_set():
                    self._asked -= 1
                    self._one()
                while self._poison:
                    self._poison -= 1
                    self._sender.put(self._bad())
        except BaseException as error:  # noqa: BLE001 - the thread's end is looked at by whoever started it
            self.failure = error

    def _one(self) -> None:
        lot = self._chance.random()
        if lot < LATE:
            sent = self._event(self._chance.choice(self._veterans), "web", "page_viewed", 2 * DAY)
        elif lot < LATE + TWICE and self._recent:
            like = self._chance.choice(self._recent)
            if like.channel in self.silent:
                return
            place = self._chance.randrange(self._sender.settings.partitions)
            sent = Sent(like.topic, like.channel, place, like.key, like.value, event=like.event)
        elif lot < LATE + TWICE + POISON:
            sent = self._bad()
        else:
            sent = self._usual()
            self._recent.append(sent)
        self._sender.put(sent)

    def _usual(self) -> Sent:
        with self._lock:
            chance = self._chance
            channel = chance.choice([channel for channel in TYPES if channel not in self.silent])
            place = chance.randrange(ACTIVE)
            person = self._people[place]
            delay, lot = chance.randrange(200), chance.random()
            if lot < LONG_DELAYED:
                delay = chance.randrange(300_000)
            elif lot < LONG_DELAYED + DELAYED:
                delay = chance.randrange(8_000)
            person.left -= 1
            if not person.left:
                self._people[place] = self._person()
            return self._event(person, channel, chance.choice(TYPES[channel]), delay)

    def _event(self, person: Person, channel: str, kind: str, delay: int) -> Sent:
        """An event that happened `delay` ms ago; no two of one person at the same time."""
        at = time.time_ns() // 1_000_000 - delay
        while at in person.times:
            at -= 1
        person.times.add(at)
        fields = {"identifier": f"e{next(self._numbers)}", **person.fields}
        if kind == "email_sent":
            fields["actor"] = "company"
        if self._chance.random() < 1 / 3:
            fields["partition"] = self._chance.randrange(self._sender.settings.partitions)
        return self._sender.make(channel, person.name, kind, at, **fields)

    def _person(self) -> Person:
        number = next(self._numbers)
        if number % 10:
            return Person(f"c{number}", {})
        return Person(f"anonymous:a{number}", {"customer_id": None, "identities": {"anonymous": f"a{number}"}})

    def _bad(self) -> Sent:
        """A record that must become a dead letter, for one of several reasons."""
        chance = self._chance
        channel = chance.choice(list(TYPES))
        now = time.time_ns() // 1_000_000
        said: dict[str, Any] = {"id": f"bad{next(self._numbers)}", "type": "page_viewed", "occurred_at": now}
        said["customer_id"] = f"bad{chance.randrange(1000)}"
        reason, wrong = chance.choice(_WRONG)
        value: bytes | None = wrong if isinstance(wrong, bytes) else json.dumps(said | wrong).encode()
        if reason == "future":
            value = json.dumps(said | {"occurred_at": now + DAY}).encode()
        place = chance.randrange(self._sender.settings.partitions)
        return Sent(f"raw.{channel}", channel, place, None, value, dead=reason)


_WRONG: list[tuple[str, bytes | dict[str, Any]]] = [
    ("not_json", b'{"id":"e'),
    ("not_json", b"\xff\xfe\x00"),
    ("no_id", {"id": ""}),
    ("bad_id", {"id": "x" * 65}),
    ("no_identity", {"customer_id": None}),
    ("bad_identity", {"customer_id": 7}),
    ("bad_time", {"occurred_at": "soon"}),
    ("future", {}),
    ("too_large", {"properties": {"text": "x" * 300 * 1024}}),
    ("channel_mismatch", {"channel": "fax"}),
    ("invalid", {"actor": "robot"}),
]
"""The reason, and the bytes or what is changed in a valid event."""
