"""What the simulated Kafka can do that a real one cannot be asked for. The rest is in tests/contract."""

from dataclasses import dataclass, field

import pytest

from pipeline.application.ports import Entry, Fenced, Fetched, KafkaDoubt, LaneReport, Outgoing, ProgressRecord
from tests.fakes.kafka import FakeChangelog, FakeInputs, FakeKafka, FakeProgress, FakeWriter, Fault, Moment, Operation

TOPIC = "journey.profiles"


@pytest.fixture
def kafka() -> FakeKafka:
    kafka = FakeKafka(now=lambda: 1_000)
    kafka.create_topic(TOPIC)
    return kafka


@pytest.fixture
async def writer(kafka: FakeKafka) -> FakeWriter:
    writer = FakeWriter(kafka, "journey-0")
    await writer.start()
    return writer


def put(*keyed: tuple[bytes, bytes | None]) -> list[Outgoing]:
    entries: list[Entry] = [(key, value, ()) for key, value in keyed]
    return [Outgoing(TOPIC, 0, entries)]


def committed(kafka: FakeKafka) -> list[bytes | None]:
    return [record.value for record in kafka.log(TOPIC, 0).read(0, 1_000, committed=True)[0]]


@pytest.mark.parametrize(
    ("fault", "at_once", "after_late_delivery"),
    [("lost", [], []), ("open", [], []), ("unanswered", [b"1"], [b"1"]), ("late", [], [b"1"])],
)
async def test_a_commit_in_doubt(
    kafka: FakeKafka, writer: FakeWriter, fault: Fault, at_once: list[bytes], after_late_delivery: list[bytes]
) -> None:
    kafka.fail_next("commit", fault)
    with pytest.raises(KafkaDoubt, match=fault):
        await writer.commit(put((b"a", b"1")))
    assert committed(kafka) == at_once
    kafka.deliver_late()
    assert committed(kafka) == after_late_delivery


async def test_a_late_commit_does_not_count_once_its_epoch_is_over(kafka: FakeKafka, writer: FakeWriter) -> None:
    kafka.fail_next("commit", "late")
    with pytest.raises(KafkaDoubt):
        await writer.commit(put((b"a", b"late")))
    await writer.start()
    await writer.commit(put((b"a", b"next")))
    kafka.deliver_late()
    assert committed(kafka) == [b"next"]


@pytest.mark.parametrize("operation", ["start", "bounds", "replay", "publish", "read", "seek", "pause", "log_starts"])
async def test_any_question_may_go_unanswered(kafka: FakeKafka, operation: Operation) -> None:
    kafka.create_topic("journey.progress")
    kafka.append(TOPIC, 0, [(b"a", b"1", ())])
    changelog, progress, inputs = (
        FakeChangelog(kafka, TOPIC),
        FakeProgress(kafka, "journey.progress"),
        FakeInputs(kafka, [TOPIC]),
    )
    inputs.assign([0], generation=1)

    async def ask() -> None:
        match operation:
            case "start":
                await FakeWriter(kafka, "journey-0").start()
            case "bounds":
                await changelog.bounds(0)
            case "replay":
                await anext(aiter(changelog.replay(0, 0, 1)))
            case "publish":
                await progress.publish(ProgressRecord(0, "journey:A", None, None, "me", "running", "", ""))
            case "read":
                await progress.read()
            case "seek":
                await inputs.seek(TOPIC, 0, 0)
            case "pause":
                await inputs.pause(TOPIC, 0)
            case "log_starts":
                await inputs.log_starts([TOPIC], 0)

    for fault in ("lost", "unanswered"):
        kafka.fail_next(operation, fault)
        with pytest.raises(KafkaDoubt, match=fault):
            await ask()
    kafka.away = True
    with pytest.raises(KafkaDoubt, match="away"):
        await ask()
    kafka.away = False
    await ask()


async def test_what_cannot_fail_says_so_instead(kafka: FakeKafka) -> None:
    kafka.away = True
    assert await FakeProgress(kafka, TOPIC).ends([(TOPIC, 0)]) == {(TOPIC, 0): None}
    assert "away" in str(await FakeInputs(kafka, [TOPIC]).confirm_membership(0))


async def test_a_step_may_fence_between_the_records_and_their_commit(kafka: FakeKafka, writer: FakeWriter) -> None:
    async def fence(operation: Operation, moment: Moment, subject: str) -> None:
        if (operation, moment) == ("commit", "written"):
            kafka.take_over(subject)

    kafka.step = fence
    with pytest.raises(Fenced):
        await writer.commit(put((b"a", b"1")))
    assert committed(kafka) == []


async def test_a_commit_may_be_answered_before_it_can_be_read(kafka: FakeKafka, writer: FakeWriter) -> None:
    kafka.slow_markers = True
    await writer.commit(put((b"a", b"1")))
    assert committed(kafka) == []
    assert (await FakeChangelog(kafka, TOPIC).bounds(0)).end == 1
    kafka.write_markers()
    assert committed(kafka) == [b"1"]
    await writer.commit(put((b"a", b"2")))
    await writer.start()
    assert committed(kafka) == [b"1", b"2"], "a new epoch begins when the old one has ended"


async def test_a_transaction_that_times_out_is_aborted_and_its_producer_fenced(
    kafka: FakeKafka, writer: FakeWriter
) -> None:
    async def time_out(operation: Operation, moment: Moment, subject: str) -> None:
        if (operation, moment) == ("commit", "written"):
            kafka.expire(subject)

    kafka.expire("journey-0")  # nothing is open, so nothing happens
    kafka.step = time_out
    with pytest.raises(Fenced):
        await writer.commit(put((b"a", b"1")))
    assert committed(kafka) == []


async def test_compaction_leaves_the_newest_committed_record_of_each_key(kafka: FakeKafka, writer: FakeWriter) -> None:
    await writer.commit(put((b"a", b"1"), (b"b", b"1")))
    await writer.commit(put((b"a", b"2"), (b"b", None)))
    kafka.fail_next("commit", "open")
    with pytest.raises(KafkaDoubt):
        await writer.commit(put((b"a", b"aborted")))
    log = kafka.log(TOPIC, 0)
    log.compact()
    assert [(slot.offset, slot.record.value) for slot in log.slots if slot.record] == [
        (3, b"2"),
        (4, None),
        (6, b"aborted"),
    ], "what is open is not touched"
    await writer.start()
    log.compact(tombstones=True)
    assert [slot.offset for slot in log.slots if slot.record] == [3]
    assert log.end == 8
    changelog = FakeChangelog(kafka, TOPIC)
    assert [record.offset async for records in changelog.replay(0, 0, 8) for record in records] == [3]


async def test_retention_moves_the_start_and_nothing_before_it_can_be_read(kafka: FakeKafka) -> None:
    kafka.append(TOPIC, 0, [(b"a", b"%d" % number, ()) for number in range(5)])
    kafka.log(TOPIC, 0).cut(3)
    changelog = FakeChangelog(kafka, TOPIC)
    assert (await changelog.bounds(0)).start == 3
    with pytest.raises(KafkaDoubt, match="outside"):
        await anext(aiter(changelog.replay(0, 2, 5)))
    assert await FakeInputs(kafka, [TOPIC]).log_starts([TOPIC], 0) == {TOPIC: 3}


@dataclass
class SomeLane:
    """ports.LaneHandle, as far as inputs go."""

    partition: int = 0
    room: int = 100
    offered: list[Fetched] = field(default_factory=list)
    missed: list[Fetched] = field(default_factory=list)

    def offer(self, fetched: Fetched) -> None:
        self.offered.append(fetched)
        self.room -= len(fetched.records)

    def lost(self, fetched: Fetched) -> None:
        self.missed.append(fetched)

    def full(self, topic: str) -> bool:
        return self.room <= 0

    async def run(self, generation: int) -> None: ...
    def stop(self) -> None: ...
    async def release(self) -> None: ...
    def report(self) -> LaneReport:
        raise NotImplementedError

    @property
    def ranges(self) -> list[tuple[int, int, bool]]:
        return [(fetched.start, fetched.end, fetched.caught_up) for fetched in self.offered]


@pytest.fixture
def lane() -> SomeLane:
    return SomeLane()


@pytest.fixture
def inputs(kafka: FakeKafka, lane: SomeLane) -> FakeInputs:
    inputs = FakeInputs(kafka, [TOPIC], records_a_fetch=2, lanes={0: lane})
    inputs.assign([0], generation=1)
    inputs.flow.set()
    return inputs


def some(count: int) -> list[Entry]:
    return [(b"k", b"%d" % number, ()) for number in range(count)]


async def test_nothing_is_handed_out_before_a_seek_and_then_fetch_by_fetch(
    kafka: FakeKafka, inputs: FakeInputs, lane: SomeLane
) -> None:
    kafka.append(TOPIC, 0, some(3))
    assert not inputs.deliver()
    await inputs.seek(TOPIC, 0, 0)
    while inputs.deliver():
        pass
    assert lane.ranges == [(0, 2, False), (2, 3, True)]


async def test_a_quiet_input_is_told_once_after_a_seek(inputs: FakeInputs, lane: SomeLane) -> None:
    await inputs.seek(TOPIC, 0, 0)
    assert [inputs.deliver(), inputs.deliver()] == [True, False]
    assert lane.ranges == [(0, 0, True)]


async def test_an_open_transaction_holds_the_reading_and_an_aborted_one_is_a_range(
    kafka: FakeKafka, inputs: FakeInputs, lane: SomeLane
) -> None:
    epoch = kafka.take_over("somebody")
    kafka.write("somebody", epoch, TOPIC, 0, some(1), 0)
    await inputs.seek(TOPIC, 0, 0)
    inputs.deliver()
    kafka.end("somebody", epoch, committed=False)
    inputs.deliver()
    assert lane.ranges == [(0, 0, True), (0, 2, True)]
    assert not lane.offered[1].records


async def test_a_full_lane_pauses_its_input_until_it_resumes(
    kafka: FakeKafka, inputs: FakeInputs, lane: SomeLane
) -> None:
    lane.room = 2
    kafka.append(TOPIC, 0, some(4))
    await inputs.seek(TOPIC, 0, 0)
    assert [inputs.deliver(), inputs.deliver()] == [True, False]
    lane.room = 100
    inputs.resume(TOPIC, 0)
    assert inputs.deliver()
    assert lane.ranges == [(0, 2, False), (2, 4, True)]


@pytest.mark.parametrize("why", ["dropped", "no flow"])
async def test_what_is_drained_and_does_not_arrive_is_told_to_the_lane(
    kafka: FakeKafka, inputs: FakeInputs, lane: SomeLane, why: str
) -> None:
    kafka.append(TOPIC, 0, some(4))
    await inputs.seek(TOPIC, 0, 0)
    if why == "dropped":
        inputs.drop_next()
    else:
        inputs.flow.clear()
    inputs.deliver()
    inputs.flow.set()
    inputs.deliver()
    assert [(fetched.start, fetched.end) for fetched in lane.missed] == [(0, 2)]
    assert lane.ranges == [(2, 4, True)]


async def test_a_position_that_retention_took_is_lost_and_pauses(
    kafka: FakeKafka, inputs: FakeInputs, lane: SomeLane
) -> None:
    kafka.append(TOPIC, 0, some(4))
    kafka.log(TOPIC, 0).cut(3)
    await inputs.seek(TOPIC, 0, 1)
    assert [inputs.deliver(), inputs.deliver()] == [True, False]
    assert [(fetched.start, fetched.end) for fetched in lane.missed] == [(1, 2)]
    await inputs.seek(TOPIC, 0, 3)
    inputs.deliver()
    assert lane.ranges == [(3, 4, True)]


async def test_a_member_of_this_generation_is_confirmed_and_others_are_not(inputs: FakeInputs) -> None:
    assert await inputs.confirm_membership(1) is None
    assert "generation 1, not 2" in str(await inputs.confirm_membership(2))
    inputs.refusal = "the group is rebalancing"
    assert await inputs.confirm_membership(1) == "the group is rebalancing"
    inputs.assign([], generation=2)
    with pytest.raises(KafkaDoubt, match="not assigned"):
        await inputs.seek(TOPIC, 0, 0)


async def test_records_may_stray_into_a_transaction_that_nobody_ends(kafka: FakeKafka, writer: FakeWriter) -> None:
    kafka.fail_next("commit", "stray")
    with pytest.raises(KafkaDoubt, match="stray"):
        await writer.commit(put((b"a", b"1")))
    assert kafka.log(TOPIC, 0).end == 0
    kafka.deliver_late()
    assert kafka.log(TOPIC, 0).stable_end == 0
    assert kafka.log(TOPIC, 0).end == 1
    kafka.expire("journey-0")
    assert committed(kafka) == []
    assert kafka.log(TOPIC, 0).stable_end == 2


async def test_a_late_start_fences_who_has_started_since(kafka: FakeKafka, writer: FakeWriter) -> None:
    kafka.fail_next("start", "late")
    with pytest.raises(KafkaDoubt, match="late"):
        await FakeWriter(kafka, "journey-0").start()
    await writer.commit(put((b"a", b"1")))
    kafka.deliver_late()
    with pytest.raises(Fenced):
        await writer.commit(put((b"a", b"2")))
    assert committed(kafka) == [b"1"]


async def test_a_transaction_may_end_on_one_partition_before_another(kafka: FakeKafka, writer: FakeWriter) -> None:
    kafka.create_topic("journey.events")
    kafka.slow_markers = True
    await writer.commit([*put((b"a", b"1")), Outgoing("journey.events", 0, [(b"a", b"routed", ())])])
    transaction = kafka.log(TOPIC, 0).slots[0].transaction
    kafka.write_markers(transaction, kafka.log("journey.events", 0))
    assert committed(kafka) == []
    assert kafka.log("journey.events", 0).stable_end == 2
    kafka.write_markers(transaction)
    assert committed(kafka) == [b"1"]


async def test_the_clocks_of_brokers_may_differ(kafka: FakeKafka) -> None:
    kafka.skew[TOPIC, 0] = 300
    kafka.append(TOPIC, 0, [(b"a", b"1", ())])
    assert [record.timestamp for record in kafka.log(TOPIC, 0).read(0, 1, committed=True)[0]] == [1_300]


async def test_a_silent_partition_is_not_read_until_it_answers(
    kafka: FakeKafka, inputs: FakeInputs, lane: SomeLane
) -> None:
    kafka.append(TOPIC, 0, some(1))
    await inputs.seek(TOPIC, 0, 0)
    inputs.silent.add((TOPIC, 0))
    assert not inputs.deliver()
    inputs.silent.clear()
    assert inputs.deliver()
    assert lane.ranges == [(0, 1, True)]
