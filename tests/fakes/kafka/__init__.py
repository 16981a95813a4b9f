"""A Kafka in memory, and the lane's ports on it, with the same promises as the real ones (tests/contract).

    kafka = FakeKafka(now=lambda: 1_700_000_000_000)
    kafka.create_topic("journey.profiles", partitions=4)
    writer = FakeWriter(kafka, "journey-3")

Everything happens at once, between two awaits of `kafka.step`: a simulation puts its own coroutine there, and fences,
kills or delays in it. `kafka.fail_next` asks for one fault, `kafka.away` for a long one.
"""

from tests.fakes.kafka.broker import AT_ONCE, FakeKafka, Fault, Moment, Operation, Producer, Topic
from tests.fakes.kafka.clients import FakeChangelog, FakeProgress, FakeWriter
from tests.fakes.kafka.inputs import FakeInputs
from tests.fakes.kafka.log import FakeRecord, Log, Transaction

__all__ = [
    "AT_ONCE",
    "FakeChangelog",
    "FakeInputs",
    "FakeKafka",
    "FakeProgress",
    "FakeRecord",
    "FakeWriter",
    "Fault",
    "Log",
    "Moment",
    "Operation",
    "Producer",
    "Topic",
    "Transaction",
]
