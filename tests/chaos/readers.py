"""Those who look on while the pipeline is hurt: a reader of Redis, and a subscriber of what is committed."""

import json
import random
import threading
import time
from collections import Counter, defaultdict
from contextlib import closing
from typing import Any

import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from redis.backoff import NoBackoff
from redis.retry import Retry

from pipeline.checker.net_history import Subscriber
from pipeline.config import Settings
from tests.chaos.table_watch import TableWatch
from tests.chaos.traffic import Traffic
from tests.harness.reading import LANE, POSITION

_A_LOOK = 25
"""Customers in one read."""

_LOOK_EVERY_S = 0.03
_REMEMBERED = 400
"""Customers of a lane who are looked at, the newest: also those who have gone, whose timers still fire."""


class Looker:
    """A thread of its own: `run` until `stop`, and `failure` is why it ended before."""

    def __init__(self, name: str) -> None:
        self.failure: BaseException | None = None
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Looks on until `stopping`."""
        raise NotImplementedError

    def _guarded(self) -> None:
        try:
            self.look()
        except BaseException as error:  # noqa: BLE001 - the thread's end is looked at by whoever started it
            self.failure = error


class RedisReader(Looker):
    """Reads customers of every lane all the time; what Redis refuses while it is hurt is tried again."""

    def __init__(self, settings: Settings, traffic: Traffic, home: Any, watch: TableWatch, seed: int) -> None:
        super().__init__("reader of Redis")
        self._settings = settings
        self._traffic = traffic
        self._home = home
        self._watch = watch
        self._chance = random.Random(f"{seed}/reader")
        self._known: dict[int, dict[bytes, None]] = defaultdict(dict)

    def look(self) -> None:
        client = redis.Redis.from_url(
            self._settings.redis_url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        with closing(client):
            while not self.stopping.wait(_LOOK_EVERY_S):
                for lane in range(self._settings.partitions):
                    self._read(client, lane)
                self._meet()

    def _read(self, client: Any, lane: int) -> None:
        known = list(self._known[lane])
        keys = [LANE, *self._chance.sample(known, min(_A_LOOK, len(known)))]
        losses = self._watch.losses
        try:
            position, *values = client.hmget(self._settings.table_key(lane), [POSITION, *keys])
        except redis.RedisError:
            time.sleep(_LOOK_EVERY_S)
            return
        self._watch.saw(losses, lane, position, dict(zip(keys, values, strict=True)))

    def _meet(self) -> None:
        for name in self._traffic.names:
            known = self._known[self._home(name)]
            key = (name if ":" in name else f"c:{name}").encode()
            if key not in known:
                known[key] = None
                if len(known) > _REMEMBERED:
                    del known[next(iter(known))]


class Follower(Looker):
    """A read_committed subscriber of both feeds, and of the changelog for the sake of `watch`.

    `problems` are breaches of I2 and I3 in the order in which they were seen.
    """

    FEEDS = ("journey.transitions", "journey.signals")
    CHANGELOG = "journey.profiles"

    def __init__(self, settings: Settings, watch: TableWatch) -> None:
        super().__init__("subscriber")
        self.transitions = 0
        self.signals = 0
        self.kinds: Counter[str] = Counter()
        self._settings = settings
        self._watch = watch
        self._subscriber = Subscriber()

    @property
    def problems(self) -> list[str]:
        return self._subscriber.problems

    def look(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._settings.brokers,
                "log_level": 0,
                "group.id": f"{self._settings.prefix}subscriber",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 500,
            }
        )
        topics = [self._settings.topic(name) for name in (*self.FEEDS, self.CHANGELOG)]
        with closing(consumer):
            consumer.assign(
                [
                    TopicPartition(topic, lane, OFFSET_BEGINNING)
                    for topic in topics
                    for lane in range(self._settings.partitions)
                ]
            )
            while not self.stopping.is_set():
                for message in consumer.consume(500, timeout=0.1):
                    if message.error() is None:
                        self._take(message)

    def _take(self, message: Any) -> None:
        topic = message.topic()
        if topic == self._settings.topic(self.CHANGELOG):
            self._watch.committed(message.partition(), message.offset(), message.key(), message.value())
            return
        said = json.loads(message.value())
        self.kinds[said["kind"]] += 1
        if topic == self._settings.topic(self.FEEDS[0]):
            self._subscriber.transition(said)
            self.transitions += 1
        else:
            self._subscriber.signal(said)
            self.signals += 1
