"""Reading the tables from outside, for the command line and the console. Nothing here writes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

from redis import Redis
from redis.exceptions import RedisError

from pipeline.adapters.redis.commands import POSITION, Keys
from pipeline.errors import UserError

LANE_RECORD = b"@lane"
"""The field that holds the lane record, as the changelog has it."""
PROMOTED = b"@models"
"""The field that holds the journeys that were promoted, if any were."""


class Reading(NamedTuple):
    """A value and the `@pos` it was read with, in one step; None where there is none."""

    position: bytes | None
    value: bytes | None


class WholeTable(NamedTuple):
    """A lane's table: the name of its key, `@pos` before and after, all other fields, and the index of timers (ms)."""

    name: str
    first: bytes | None
    last: bytes | None
    fields: dict[bytes, bytes]
    due: dict[bytes, int]


class TableReader:
    """The tables of an application; a reply takes at most `timeout` seconds.

    Raises UserError (exit code 1) if Redis does not answer or refuses, and exit code 2 if `url` cannot be read.
    """

    def __init__(self, application: str, url: str, timeout: float = 5.0) -> None:
        self._application = application
        try:
            self._redis = Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout, protocol=2)
        except (ValueError, TypeError, RedisError):  # its text may hold a part of the password
            raise UserError("redis_url cannot be read; expected redis://host:port/database") from None

    def lane_record(self, lane: int) -> Reading:
        """The lane record of a lane, as JSON."""
        return self.profile(lane, LANE_RECORD)

    def profile(self, lane: int, field: bytes) -> Reading:
        """The encoded profile of an identity (`c:4711`) in the lane where it is at home."""
        position, (value,) = self.profiles(lane, [field])
        return Reading(position, value)

    def profiles(self, lane: int, fields: Sequence[bytes]) -> tuple[bytes | None, list[bytes | None]]:
        """The position, and the values in the order asked."""
        with self._asking():
            table = Keys.of(self._application, lane).table
            position, *values = cast(list[bytes | None], self._redis.hmget(table, [POSITION, *fields]))
            return position, values

    def next_look(self, lane: int, field: bytes) -> int | None:
        """When, in ms of the watermark, the identity's timers are looked at next."""
        with self._asking():
            score = self._redis.zscore(Keys.of(self._application, lane).due, field)
            return None if score is None else int(score)

    def earliest_look(self, lane: int) -> int | None:
        """When, in ms of the watermark, any timers of a lane are looked at next; None if none are pending."""
        with self._asking():
            first = cast(
                list[tuple[bytes, float]],
                self._redis.zrange(Keys.of(self._application, lane).due, 0, 0, withscores=True),
            )
            return int(first[0][1]) if first else None

    def size(self, lane: int) -> int:
        """How many identities a lane's table holds."""
        with self._asking():
            keys = Keys.of(self._application, lane)
            pipeline: Any = self._redis.pipeline(transaction=True)
            fields, own = pipeline.hlen(keys.table).hmget(keys.table, POSITION, LANE_RECORD, PROMOTED).execute()
            return int(fields) - sum(value is not None for value in own)

    def scan(self, lane: int, page: int = 1000) -> Iterator[tuple[bytes, bytes]]:
        """Every identity and its profile, about `page` at a time.

        What is written meanwhile may be missing, old or seen twice: this is for looking, not for counting.
        """
        with self._asking():
            pages = self._redis.hscan_iter(Keys.of(self._application, lane).table, count=page)
            for field, profile in cast(Iterator[tuple[bytes, bytes]], pages):
                if not field.startswith(b"@"):
                    yield field, profile

    def whole(self, lane: int) -> WholeTable:
        """Everything of a lane, read page by page, so that Redis serves others meanwhile.

        If a worker writes while this reads, each field is as of some position between `first` and `last`.
        """
        with self._asking():
            keys = Keys.of(self._application, lane)
            client: Any = self._redis
            first = client.hget(keys.table, POSITION)
            fields = dict(client.hscan_iter(keys.table, count=1000))
            due = {member: int(score) for member, score in client.zscan_iter(keys.due, count=1000)}
            last = client.hget(keys.table, POSITION)
        fields.pop(POSITION, None)
        return WholeTable(keys.table.decode(), first, last, fields, due)

    def close(self) -> None:
        self._redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            raise UserError(f"Redis does not let the tables be read: {error}; see redis_url", exit_code=1) from error
