"""What the channels send of what people do: each in its own manner, some late, some twice. Pure and seeded.

The traffic of (seed, start, customers) is one fixed sequence; `since` starts it in the middle, so that a second run
goes on where the first stopped and no event is ever made anew under another id.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from random import Random
from typing import Final, NamedTuple

import msgspec

from pipeline.dev.crm import Decision, decisions, merge
from pipeline.dev.known_by import known_by
from pipeline.dev.life import Action, life
from pipeline.dev.naming import Named, Naming
from pipeline.dev.people import DAY, HOUR, MINUTE, Person, person
from pipeline.domain.moments import format_moment

SECOND: Final = 1000
LONGEST_DELAY: Final = 2 * DAY
"""No event is sent later than this after it happened."""
_FIRST_ARRIVALS: Final = 14 * DAY
"""The first customers show up within this time."""
_UPLOAD: Final = 2 * HOUR + 30 * MINUTE
"""When, after midnight, the shops upload the day before."""
_DOUBLED: Final = 0.01
_UPLOAD_FAILS: Final = 0.02


class Delivery(NamedTuple):
    """One raw record on its way: `at` is when it is sent, `occurred_at` when it happened, both in ms.

    `complete`: all that happened up to then, by anybody on any channel, was sent before this record.
    """

    at: int
    channel: str
    key: bytes
    value: bytes
    occurred_at: int
    complete: int


class _Sending(NamedTuple):
    """One sending of one action; these sort by when it happened, then in one fixed order."""

    happened: int
    number: int
    ordinal: int
    attempt: int
    at: int
    who: Person
    action: Action
    named: Named


def traffic(seed: int, start: int, customers: int, since: int | None = None) -> Iterator[Delivery]:
    """Endless deliveries in order of sending; with `since` (ms) only those that are sent later than that.

    At any time about `customers` people are about; who leaves is followed by somebody new.
    """
    after = start - 1 if since is None else since
    places = (_place(seed, start, customers, number, after) for number in range(1, customers + 1))
    waiting: list[tuple[int, int, int, int, _Sending]] = []
    unsent = _Unsent()
    for sending in heapq.merge(*places):
        # Nothing is sent before it happened, so what waits for an earlier time than this is complete.
        while waiting and waiting[0][0] < sending.happened:
            due = heapq.heappop(waiting)[4]
            yield _delivery(seed, due, unsent.oldest() - 1)
            unsent.remove(due.happened)
        if sending.at > after:
            heapq.heappush(waiting, (sending.at, sending.number, sending.ordinal, sending.attempt, sending))
            unsent.add(sending.happened)


class _Unsent:
    """The times of what has happened and waits to be sent. Times are added in order."""

    def __init__(self) -> None:
        self._times: deque[int] = deque()
        self._removed: Counter[int] = Counter()

    def add(self, happened: int) -> None:
        self._times.append(happened)

    def remove(self, happened: int) -> None:
        self._removed[happened] += 1

    def oldest(self) -> int:
        times, removed = self._times, self._removed
        while removed[times[0]]:
            removed[times[0]] -= 1
            if not removed[times[0]]:
                del removed[times[0]]
            times.popleft()
        return times[0]


def ordered(seed: int, start: int, customers: int, since: int) -> Iterator[Decision]:
    """What the CRM takes back of links of the same people, endless and in order, later than `since` (ms).

    Its merges are events of the traffic.
    """

    def at_place(number: int) -> Iterator[tuple[int, Decision | None]]:
        for who in _lives(seed, start, customers, number):
            yield who.born, None  # so that nobody looks further ahead than to the next life
            yield from (
                (each.at, each) for each in decisions(seed, who, known_by(seed, who)) if each.command != "merge"
            )

    places = (at_place(number) for number in range(1, customers + 1))
    merged = heapq.merge(*places, key=lambda each: each[0])
    return (each for at, each in merged if each is not None and at > since)


def people(seed: int, start: int, customers: int, until: int) -> Iterator[Person]:
    """All who have shown up before `until` (ms)."""
    for number in range(1, customers + 1):
        yield from takewhile(lambda who: who.born < until, _lives(seed, start, customers, number))


def _lives(seed: int, start: int, customers: int, number: int) -> Iterator[Person]:
    """One place among the customers: a person, then the next one, and so on."""
    born = start + int(Random(f"{seed}/{number}/arrival").triangular(0, _FIRST_ARRIVALS, 0))
    while True:
        who = person(seed, number, born)
        yield who
        born = who.ends + DAY
        number += customers


def _place(seed: int, start: int, customers: int, number: int, after: int) -> Iterator[_Sending]:
    """All that is sent of the people of one place, in order of what happens."""
    for who in _lives(seed, start, customers, number):
        if who.ends + LONGEST_DELAY > after:
            yield from _sendings(seed, who)


def _sendings(seed: int, who: Person) -> Iterator[_Sending]:
    chance = Random(f"{seed}/{who.number}/sendings")
    known = known_by(seed, who)
    merges = [(merge(each), Named(each.customer)) for each in decisions(seed, who, known) if each.command == "merge"]
    naming = Naming(seed, who, known)
    lived = ((action, naming.named(action)) for action in life(seed, who))
    for ordinal, (action, named) in enumerate(heapq.merge(lived, merges, key=lambda each: each[0].at)):
        at = action.at + _DELAYS[action.channel](chance, action.at)
        yield _Sending(action.at, who.number, ordinal, 0, at, who, action, named)
        if chance.random() < _DOUBLED:
            again = min(at + chance.randint(1, 90) * SECOND, action.at + LONGEST_DELAY)
            yield _Sending(action.at, who.number, ordinal, 1, again, who, action, named)


def _online(chance: Random, _at: int) -> int:
    """Seconds; once in a while a phone was in a tunnel for up to an hour."""
    return chance.randint(5, 60) * MINUTE if chance.random() < 0.005 else chance.randint(50, 2000)


def _call_log(chance: Random, at: int) -> int:
    """The call centre exports its log a while after each full hour."""
    return HOUR - at % HOUR + chance.randint(1, 5) * MINUTE


def _upload(chance: Random, at: int) -> int:
    """A shop uploads its day in the night, and now and then a night later."""
    nights = 2 if chance.random() < _UPLOAD_FAILS else 1
    return min(DAY * nights - at % DAY + _UPLOAD + chance.randint(0, MINUTE), LONGEST_DELAY)


_DELAYS: Final[Mapping[str, Callable[[Random, int], int]]] = {
    "web": _online,
    "email": lambda chance, _at: chance.randint(1, 30) * SECOND,
    "social": lambda chance, _at: chance.randint(10, 300) * SECOND,
    "phone": _call_log,
    "store": _upload,
}


def _delivery(seed: int, sending: _Sending, complete: int) -> Delivery:
    who, action, named = sending.who, sending.action, sending.named
    event: dict[str, object] = {
        "id": f"s{seed}-{who.number}-{sending.ordinal}",
        "type": action.type,
        "occurred_at": format_moment(action.at),
    }
    if named.customer_id:
        event["customer_id"] = named.customer_id
    if named.identities:
        event["identities"] = named.identities
    event |= {"source": action.source, "actor": action.actor, "properties": action.properties}
    key = _key(named, who).encode()
    return Delivery(sending.at, action.channel, key, msgspec.json.encode(event), action.at, complete)


def _key(named: Named, who: Person) -> str:
    """What the channel partitions by: whom it names, but no address and no number, which would lie open in every tool.
    Those go by the channel's own number of their owner, and take a hop.
    """
    if named.customer_id:
        return named.customer_id
    for kind in ("loyalty", "anonymous"):
        if kind in named.identities:
            return f"{kind}:{named.identities[kind]}"
    return f"contact-{who.number}"
