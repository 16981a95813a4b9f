"""Whoever was erased by an order is gone, over all lanes: judged by what events and orders had named together before.

What came later for an erased identity may have made a new record; then that is of later only. Their owners and
histories are not judged: what holds depends on where the order stood between the events of several lanes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.checker.findings import Findings
from pipeline.checker.lane_links import Known, LaneLinks
from pipeline.checker.plain_home import home_lane
from pipeline.checker.plain_links import Erase, Links
from pipeline.checker.plain_profile import StoredProfile, public_key
from pipeline.checker.rules import Rules


class Gone(NamedTuple):
    """Who was erased, and when (append time of the order, ms)."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Erased:
    """All who were erased: `gone` by name, with those who went along; `touched`: all who have had to do with them."""

    gone: Mapping[str, Gone]
    touched: frozenset[str]

    @classmethod
    def of(cls, kinds: Collection[str], lanes: Sequence[LaneLinks], groups: Mapping[str, Sequence[str]]) -> "Erased":
        """Works out who belonged to whom as each order was given; a repeated one counts once."""
        orders: dict[str, Erase] = {}
        for erase in sorted((each for lane in lanes for each in lane.erasures), key=lambda each: each.at):
            orders.setdefault(erase.order, erase)
        gone: dict[str, Gone] = {}
        touched: set[str] = set()
        for erase in orders.values():
            group = next((names for names in groups.values() if erase.name in names), [erase.name])
            again = not touched.isdisjoint(group)
            touched.update(group)
            before = _links_before(kinds, lanes, erase.at)
            if before.owner(erase.name) != erase.name or before.over_limit(group):
                continue
            along = [name for name in group if before.owner(name) == erase.name] if not again else []
            gone |= {name: Gone(name, erase.at) for name in (erase.name, *along)}
        return cls(gone, frozenset(touched))


def _links_before(kinds: Collection[str], lanes: Sequence[LaneLinks], at: int) -> Links:
    links = Links(kinds)
    for lane in lanes:
        for (customer, identity), first in lane.first_named.items():
            if first <= at:
                links.name(customer, identity)
    for lane in lanes:
        links.obey(order for order in lane.orders if order.at <= at)
    return links


def check_erased(
    rules: Rules, lanes: Mapping[int, LaneLinks], known: Mapping[str, Known], erased: Erased, findings: Findings
) -> None:
    """Judges each who was erased, and everybody's mention of them."""
    last: dict[str, int] = {}
    for lane in lanes.values():
        for name, at in lane.last_said.items():
            last[name] = max(at, last.get(name, 0))
    moving = {name for lane in lanes.values() for name in lane.moving}
    away: set[str] = set()
    for name, at in erased.gone.values():
        if name in moving:
            findings.unjudged["erased identities of whom messages are under way"] += 1
            continue
        findings.checked["erased identities"] += 1
        stored, arrivals = (known[name].stored, known[name].arrivals) if name in known else (None, ())
        lane = lanes[home_lane(name, rules.partitions)]
        if last.get(name, 0) > at:
            _check_return(rules, name, at, stored, {a.act.id for a in arrivals if a.act.appended > at}, findings)
            continue
        away.add(name)
        if stored is not None:
            findings.add("erased", _where(rules, name), "was erased, and its record is still there")
        if name in lane.customers.feed.customers:
            findings.add("erased", f"{rules.topic('customers')}-{lane.lane} {name}", "was erased, and is still there")
    for name, each in known.items():
        for other in sorted(away & set(_names(each.stored))):
            findings.add("erased", _where(rules, name), f"names {other}, who was erased")
    for lane in lanes.values():
        for name in sorted(lane.customers.feed.gone - erased.gone.keys() - moving - erased.touched):
            where = f"{rules.topic('customers')}-{lane.lane} {name}"
            findings.add("erased", where, "has no record any more, and no order has erased it")


def _check_return(
    rules: Rules, name: str, at: int, stored: StoredProfile | None, later: Collection[str], findings: Findings
) -> None:
    """Somebody of whom something was said later: what is known is of then, under a higher epoch."""
    if stored is None:
        return
    if stored.epoch <= at:
        findings.add("erased", _where(rules, name), f"epoch {stored.epoch} is not behind its erasure at {at}")
    for strand in stored.strands:
        if public_key(strand.identity) == name:
            for event in strand.recent:
                if event.id not in later:
                    findings.add("erased", _where(rules, name), f"remembers {event.id}, which is of before its erasure")


def _names(stored: StoredProfile | None) -> Iterator[str]:
    if stored is not None:
        named: Iterable[str] = (stored.to, *stored.claims, *stored.claims.values(), *stored.blocked)
        for strand in stored.strands:
            named = (*named, strand.identity, *strand.claimed)
        yield from (public_key(name) for name in named)


def _where(rules: Rules, name: str) -> str:
    return f"{rules.topic('profiles')}-{home_lane(name, rules.partitions)} {name}"
