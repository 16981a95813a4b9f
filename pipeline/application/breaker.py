"""When a lane must stop folding: a bad deploy must not empty the topic into the dead letters."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Per `window_s` seconds: so many customers, or such a share of all events once `at_least` of them raised.

    Customers whose timers are due count like events.
    """

    customers: int = 20
    share: float = 0.01
    at_least: int = 5
    window_s: float = 60.0


class BreakerGauge:
    """Counts raises of the fold against events, timers included; `now` is monotonic seconds."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._raises: deque[tuple[float, str]] = deque()
        self._events: deque[tuple[float, int]] = deque()

    def folded(self, now: float, events: int) -> None:
        self._events.append((now, events))
        self._forget(now)

    def raised(self, now: float, key: str, in_hand: int) -> str | None:
        """Why the lane must stop, None while it may go on. `in_hand`: events of the batch that are not yet folded.

        A few raises in the first large batch after a start are no more than the same few later on.
        """
        self._raises.append((now, key))
        self._forget(now)
        policy = self._policy
        customers = len({who for _, who in self._raises})
        if customers >= policy.customers:
            return f"the fold raised for {customers} customers within {policy.window_s:.0f} s"
        raises = len(self._raises)
        events = raises + in_hand + sum(count for _, count in self._events)
        if raises >= policy.at_least and raises > policy.share * events:
            return f"the fold raised on {raises} of {events} events within {policy.window_s:.0f} s"
        return None

    def reset(self) -> None:
        self._raises.clear()
        self._events.clear()

    def _forget(self, now: float) -> None:
        oldest = now - self._policy.window_s
        while self._raises and self._raises[0][0] < oldest:
            self._raises.popleft()
        while self._events and self._events[0][0] < oldest:
            self._events.popleft()
