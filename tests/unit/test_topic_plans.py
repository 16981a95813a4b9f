"""What the topic files say, and which differences matter."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.adapters.kafka.topic_plans import Bound, Difference, FoundTopic, TopicPlan, differences, wanted
from pipeline.adapters.kafka.topics import report
from pipeline.adapters.schemas import folder
from pipeline.adapters.topic_files import TopicFile, topic_file, topic_files
from pipeline.adapters.yaml_files import load
from pipeline.config import Input, Settings
from pipeline.errors import UserError

SETTINGS = Settings(prefix="eu-", partitions=4)
BROKERS, BOOTSTRAP = 3, "kafka:9092"


def as_planned(plans: list[TopicPlan]) -> dict[str, FoundTopic]:
    return {plan.name: FoundTopic(plan.partition_count, 3, plan.creation_config(3)) for plan in plans}


def compared(found: dict[str, FoundTopic], settings: Settings = SETTINGS) -> list[Difference]:
    return differences(wanted(settings), found, BROKERS, BOOTSTRAP)


def with_config(name: str, **settings: str) -> dict[str, FoundTopic]:
    """All as planned, but for these settings of one topic; `_` stands for a dot."""
    found = as_planned(wanted(SETTINGS))
    changed = {setting.replace("_", "."): value for setting, value in settings.items()}
    return {**found, name: replace(found[name], config={**found[name].config, **changed})}


def with_partitions(**partitions: int) -> dict[str, FoundTopic]:
    """All as planned, but for these numbers of partitions; `_` stands for a dot."""
    found = as_planned(wanted(SETTINGS))
    for name, count in partitions.items():
        topic = "eu-" + name.replace("_", ".")
        found[topic] = replace(found[topic], partitions=count)
    return found


def test_a_file_has_the_name_of_its_topic() -> None:
    assert {path.stem for path in (folder() / "topics").glob("*.yaml")} == {file.name for file in topic_files()}


def test_inputs_are_all_set_alike() -> None:
    inputs = [file for file in topic_files() if file.role == "input"]
    assert len(inputs) == 5
    assert {(str(file.partitions), str(file.config), str(file.records)) for file in inputs} == {
        (str(inputs[0].partitions), str(inputs[0].config), str(inputs[0].records))
    }


def test_every_worker_topic_settles_its_partitions_and_its_cleanup() -> None:
    for file in topic_files():
        assert file.partitions.required, file.name
        assert file.config["cleanup.policy"].required, file.name


def test_what_is_timed_by_the_broker_may_not_be_timed_by_its_sender() -> None:
    timed = {file.name for file in topic_files() if file.config["message.timestamp.type"].required}
    assert timed == {
        *(f"raw.{channel}" for channel in ("web", "email", "social", "phone", "store")),
        *(f"journey.{name}" for name in ("commands", "events", "profiles", "progress")),
    }


def test_names_carry_the_prefix_and_inputs_come_first() -> None:
    names = [plan.name for plan in wanted(SETTINGS)]
    assert names[:5] == ["eu-raw.web", "eu-raw.email", "eu-raw.social", "eu-raw.phone", "eu-raw.store"]
    assert set(names[5:]) == {f"eu-{file.name}" for file in topic_files() if file.role != "input"}


def test_inputs_of_other_names_are_set_like_the_default_ones() -> None:
    settings = Settings(
        inputs=(Input(topic="till.sales", channel="store"), Input(topic="everything", channel_field="where"))
    )
    till, everything = wanted(settings)[:2]
    assert (till.name, till.file.owner, everything.name) == ("till.sales", topic_file("raw.store").owner, "everything")
    assert till.config == everything.config == wanted(SETTINGS)[0].config
    assert not any(plan.name == "raw.web" for plan in wanted(settings))


def test_partitions_follow_the_lanes_but_for_progress() -> None:
    counts = {plan.file.role: plan.partition_count for plan in wanted(SETTINGS)}
    assert counts.pop("progress") == 1
    assert set(counts.values()) == {4}


def test_topics_of_whole_events_take_the_largest_that_is_allowed() -> None:
    sizes = {
        plan.file.role: plan.config["max.message.bytes"].value
        for plan in wanted(Settings(max_event_bytes=3_000_000))
        if "max.message.bytes" in plan.config
    }
    assert sizes["input"] == sizes["events"] == sizes["dead-letters"] == str(3_000_000 + 65_536)
    assert sizes["feed"] == "1048588"


@pytest.mark.parametrize(
    ("setting", "how", "value", "found", "good"),
    [
        ("cleanup.policy", "exactly", "compact", "compact", True),
        ("cleanup.policy", "exactly", "compact", "compact,delete", False),
        ("message.timestamp.type", "exactly", "LogAppendTime", "CreateTime", False),
        ("retention.ms", "at least", "604800000", "604800000", True),
        ("retention.ms", "at least", "604800000", "604799999", False),
        ("retention.ms", "at least", "604800000", "-1", True),
        ("max.compaction.lag.ms", "at most", "604800000", "9223372036854775807", False),
        ("min.cleanable.dirty.ratio", "at most", "0.3", "0.30", True),
        ("min.cleanable.dirty.ratio", "at most", "0.3", "0.5", False),
        ("partitions", "at least", "4", "5", True),
    ],
)
def test_a_bound_holds(setting: str, how: str, value: str, found: str, good: bool) -> None:
    assert Bound(setting, how, value, True, "it is").holds(found) is good  # type: ignore[arg-type]  # parametrized text


def test_nothing_differs_where_all_is_as_planned() -> None:
    assert compared(as_planned(wanted(SETTINGS))) == []


def test_a_missing_topic_is_made_by_apply() -> None:
    found = as_planned(wanted(SETTINGS))
    del found["eu-journey.signals"]
    (difference,) = compared(found)
    assert (difference.topic, difference.setting, difference.found) == ("eu-journey.signals", "topic", None)
    assert difference.required
    assert difference.options == ()


@pytest.mark.parametrize(
    ("found", "required", "options"),
    [
        pytest.param(
            with_config("eu-journey.events", message_timestamp_type="CreateTime"), True, (), id="own-and-required"
        ),
        pytest.param(
            with_config("eu-raw.web", message_timestamp_type="CreateTime"), True, ("force",), id="an-input-of-others"
        ),
        pytest.param(
            with_config("eu-journey.profiles", cleanup_policy="delete"), True, ("force",), id="what-is-deleted"
        ),
        pytest.param(
            with_config("eu-journey.transitions", retention_ms="60000"), False, ("recommended",), id="only-recommended"
        ),
        pytest.param(
            with_config("eu-raw.web", retention_ms="60000"), False, ("recommended", "force"), id="recommended-of-others"
        ),
        pytest.param(with_partitions(raw_web=3), True, ("force",), id="an-input-with-too-few-partitions"),
        pytest.param(with_partitions(raw_web=6), True, None, id="an-input-with-too-many-partitions"),
        pytest.param(with_partitions(journey_dlq=3), True, ("force",), id="too-few-partitions-for-dead-letters"),
        pytest.param(with_partitions(journey_events=6), True, None, id="an-own-topic-with-other-partitions"),
        pytest.param(with_partitions(journey_progress=2), True, None, id="progress-in-two-partitions"),
    ],
)
def test_what_apply_may_do_about_a_difference(
    found: dict[str, FoundTopic], required: bool, options: tuple[str, ...] | None
) -> None:
    (difference,) = compared(found)
    assert (difference.required, difference.options) == (required, options)


def test_more_partitions_for_dead_letters_do_no_harm() -> None:
    assert compared(with_partitions(journey_dlq=9)) == []


def test_another_number_of_lanes_is_not_mended_by_more_partitions() -> None:
    found = compared(as_planned(wanted(SETTINGS)), SETTINGS.model_copy(update={"partitions": 6}))
    assert {difference.options for difference in found} == {None}
    assert {difference.mend.partition(":")[0] for difference in found} == {"the number of lanes is fixed for good"}
    assert all("set `partitions: 4`" in difference.mend for difference in found)


def test_too_few_copies_are_only_advice() -> None:
    found = {name: replace(topic, replicas=1) for name, topic in as_planned(wanted(SETTINGS)).items()}
    assert {(each.setting, each.required, each.options) for each in compared(found)} == {("replication", False, None)}


def test_a_setting_that_the_broker_does_not_know_differs() -> None:
    found = as_planned(wanted(SETTINGS))
    topic = found["eu-journey.progress"]
    found["eu-journey.progress"] = replace(topic, config={**topic.config, "cleanup.policy": "compact"})
    del found["eu-journey.progress"].config["message.timestamp.type"]  # type: ignore[attr-defined]  # a dict here
    (difference,) = compared(found)
    assert difference.what.startswith("message.timestamp.type is not set; wanted: LogAppendTime, because ")


def test_a_report_puts_together_what_differs_alike() -> None:
    found = compared(with_partitions(raw_web=3, raw_email=3))
    assert report(found).splitlines() == [
        f"  eu-raw.web, eu-raw.email: partitions is 3; wanted: 4, because {topic_file('raw.web').partitions.why}",
        "    run `journey topics apply --force`, or:",
        "      kafka-topics.sh --bootstrap-server kafka:9092 --topic eu-raw.web --alter --partitions 4",
        "      kafka-topics.sh --bootstrap-server kafka:9092 --topic eu-raw.email --alter --partitions 4",
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{exactly: 1, at_least: 1, why: both}", "one of 'exactly', 'at_least' and 'at_most' is needed"),
        ("{why: nothing}", "one of 'exactly', 'at_least' and 'at_most' is needed"),
        ("{atleast: 1, why: misspelt}", "did you mean 'at_least'?"),
        ("{at_least: 7days, why: no such unit}", "did you mean '7d'?"),
    ],
)
def test_a_mistake_in_a_topic_file_is_shown_with_its_place(tmp_path: Path, rule: str, message: str) -> None:
    path = tmp_path / "topic.yaml"
    text = (folder() / "topics" / "raw.web.yaml").read_text()
    path.write_text(f"{text}  segment.ms: {rule}\n")
    with pytest.raises(UserError) as raised:
        load(path, TopicFile)
    assert message in raised.value.message
    assert f"{path}:" in raised.value.message
