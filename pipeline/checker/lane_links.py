"""What one lane knows of identities that others may be linked with; it is judged once all lanes have been read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.checker.lane_customers import LaneCustomers
from pipeline.checker.lane_inputs import Arrival, Carried
from pipeline.checker.plain_links import Erase, Order
from pipeline.checker.plain_profile import StoredProfile


@dataclass(frozen=True, slots=True)
class Known:
    """One identity at its home. `arrivals`: the events of which it is the primary; `stored` as of the cut."""

    arrivals: Sequence[Arrival]
    stored: StoredProfile | None


@dataclass(frozen=True, slots=True)
class LaneLinks:
    """`named`: (customer, identity) of the raw events that this lane read first. `orders` in the order of their log.

    `known`: identities at home here that are linked, or might be. `moving`: names of which something lies beyond the
    cut. `customers` judges the feed of those at home here. `carried`: events that were sent on to owners here.

    `erasures` that were ordered here; `first_named`: when each of `named` was appended first (ms), `last_said`: when
    somebody was named last, by an event or an order.
    """

    lane: int
    customers: LaneCustomers
    named: Sequence[tuple[str, str]] = ()
    orders: Sequence[Order] = ()
    known: Mapping[str, Known] = field(default_factory=dict)
    moving: frozenset[str] = frozenset()
    carried: Sequence[Carried] = ()
    erasures: Sequence[Erase] = ()
    first_named: Mapping[tuple[str, str], int] = field(default_factory=dict)
    last_said: Mapping[str, int] = field(default_factory=dict)
