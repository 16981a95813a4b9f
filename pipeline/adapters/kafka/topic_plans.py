"""What each topic must be under some settings, and where the topics of a cluster differ. No broker is asked here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from pipeline.adapters.topic_files import LANES, Rule, TopicFile, topic_files
from pipeline.config import Input, Settings

Bounds = Literal["exactly", "at least", "at most"]
Option = Literal["recommended", "force"]
"""What `journey topics apply` may be allowed beyond what is safe and needed."""

EXISTENCE, PARTITIONS, REPLICATION = "topic", "partitions", "replication"
"""What may differ beside the settings of a topic."""

HEADER_BYTES: Final = 64 * 1024
"""Room for key and headers beside the largest event."""

_UNLIMITED: Final = frozenset({"retention.ms", "retention.bytes"})


@dataclass(frozen=True, slots=True)
class Bound:
    """What one setting must be, as Kafka writes it, and why."""

    setting: str
    how: Bounds
    value: str
    required: bool
    why: str

    def holds(self, found: str) -> bool:
        """Whether what was found is good."""
        if self.setting == "cleanup.policy":
            return set(found.replace(" ", "").split(",")) == set(self.value.split(","))
        if self.how == "exactly":
            return found == self.value
        if self.setting in _UNLIMITED and found == "-1":
            return self.how == "at least"
        return float(found) >= float(self.value) if self.how == "at least" else float(found) <= float(self.value)

    def __str__(self) -> str:
        return self.value if self.how == "exactly" else f"{self.how} {self.value}"


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """One topic as it must be; `name` is the full one, `config` holds the bounds of its settings by name."""

    name: str
    file: TopicFile
    partitions: Bound
    config: Mapping[str, Bound]

    @property
    def partition_count(self) -> int:
        """How many partitions it is made with."""
        return int(self.partitions.value)

    def creation_config(self, replicas: int) -> dict[str, str]:
        """Settings that the topic is made with."""
        bounds = (*self.config.values(), *_durable(replicas))
        return {bound.setting: bound.value for bound in bounds}


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as it is: partitions, copies of the partition that has fewest, and settings by name."""

    partitions: int
    replicas: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A topic is not as it must be (`required`) or had better be. `found` is None where there is nothing.

    `options` are those with which `apply` sets it to `value`; None: it never does. `mend` says in words what mends it,
    `command` with Kafka's own tools ("": they cannot).
    """

    topic: str
    setting: str
    wanted: str
    value: str
    found: str | None
    required: bool
    why: str
    options: tuple[Option, ...] | None
    mend: str
    command: str

    @property
    def what(self) -> str:
        """All but the topic, in words."""
        if self.setting == EXISTENCE:
            return "missing"
        return f"{self.setting} is {self.found or 'not set'}; wanted: {self.wanted}, because {self.why}"


def wanted(settings: Settings) -> list[TopicPlan]:
    """Every topic that an application with these settings uses, inputs first."""
    inputs = [_plan(settings, item.topic, _input_file(item)) for item in settings.inputs]
    return inputs + [_plan(settings, file.name, file) for file in topic_files() if file.role != "input"]


def _input_file(item: Input) -> TopicFile:
    """The file of this input; an input that has none is like the one of its channel, and all are set alike."""
    files = [file for file in topic_files() if file.role == "input"]
    for name in (item.topic, f"raw.{item.channel}"):
        for file in files:
            if file.name == name:
                return file
    return files[0].model_copy(update={"owner": "the channels", "description": "What happens on several channels."})


def _plan(settings: Settings, name: str, file: TopicFile) -> TopicPlan:
    config = {setting: _bound(setting, rule, settings.partitions) for setting, rule in file.config.items()}
    size = config.get("max.message.bytes")
    if size is not None and file.role in ("input", "events", "dead-letters"):
        # These carry events whole, as large as the settings allow.
        largest = max(int(size.value), settings.max_event_bytes + HEADER_BYTES)
        config["max.message.bytes"] = replace(size, value=str(largest))
    return TopicPlan(settings.topic(name), file, _bound(PARTITIONS, file.partitions, settings.partitions), config)


def _bound(setting: str, rule: Rule, lanes: int) -> Bound:
    bounds: tuple[tuple[Bounds, int | float | str | None], ...] = (
        ("exactly", rule.exactly),
        ("at least", rule.at_least),
        ("at most", rule.at_most),
    )
    how, value = next((how, value) for how, value in bounds if value is not None)
    return Bound(setting, how, str(lanes if value == LANES else value), rule.required, rule.why)


def _durable(replicas: int) -> tuple[Bound, Bound]:
    """Settings of every topic, by the number of its copies: no single broker takes along what was acknowledged."""
    return (
        Bound(
            "min.insync.replicas",
            "at least",
            str(min(2, replicas)),
            False,
            "what is acknowledged should be on two brokers, wherever there are two",
        ),
        Bound(
            "unclean.leader.election.enable",
            "exactly",
            "false",
            False,
            "a broker that had fallen behind would take over and lose what was acknowledged",
        ),
    )


def wanted_replicas(brokers: int) -> int:
    """Copies of each partition: three, or as many as there are brokers."""
    return min(3, brokers)


def differences(
    plans: Sequence[TopicPlan], found: Mapping[str, FoundTopic], brokers: int, bootstrap: str
) -> list[Difference]:
    """Everything that is not as planned, topic by topic. `bootstrap` is for the commands that mend it."""
    fixed = lanes_there(plans, found)
    result: list[Difference] = []
    for plan in plans:
        topic = found.get(plan.name)
        if topic is None:
            result.append(_missing(plan))
        else:
            result += _compared_partitions(plan, topic, fixed, bootstrap)
            result += _compared_settings(plan, topic, brokers, bootstrap)
    return result


def lanes_there(plans: Sequence[TopicPlan], found: Mapping[str, FoundTopic]) -> int | None:
    """How many lanes have their profiles on this cluster, whatever the settings say; None if there are no profiles."""
    changelog = next(plan for plan in plans if plan.file.role == "changelog")
    topic = found.get(changelog.name)
    return topic.partitions if topic else None


def _missing(plan: TopicPlan) -> Difference:
    why = f"it is one of the pipeline's topics ({plan.file.role})"
    return Difference(plan.name, EXISTENCE, "to exist", "", None, True, why, (), _run(()), command="")


def _compared_partitions(plan: TopicPlan, topic: FoundTopic, fixed: int | None, bootstrap: str) -> Iterator[Difference]:
    if not plan.partitions.holds(str(topic.partitions)):
        mended = _mend_partitions(plan, topic, fixed, bootstrap)
        yield _difference(plan, plan.partitions, str(topic.partitions), *mended)


def _compared_settings(plan: TopicPlan, topic: FoundTopic, brokers: int, bootstrap: str) -> Iterator[Difference]:
    copies = Bound(REPLICATION, "at least", str(wanted_replicas(brokers)), False, "a broker may be lost with its disks")
    if not copies.holds(str(topic.replicas)):
        command = f"kafka-reassign-partitions.sh --bootstrap-server {bootstrap} --help"
        yield _difference(plan, copies, str(topic.replicas), None, "add copies with Kafka's own tool", command)
    for bound in (*plan.config.values(), *_durable(topic.replicas)):
        value = topic.config.get(bound.setting)
        if value is None or not bound.holds(value):
            options = _options(plan, bound)
            command = (
                f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics "
                f"--entity-name {plan.name} --add-config {bound.setting}={bound.value}"
            )
            yield _difference(plan, bound, value, options, _run(options), command)


def _difference(
    plan: TopicPlan, bound: Bound, found: str | None, options: tuple[Option, ...] | None, mend: str, command: str
) -> Difference:
    return Difference(
        plan.name, bound.setting, str(bound), bound.value, found, bound.required, bound.why, options, mend, command
    )


def _options(plan: TopicPlan, bound: Bound) -> tuple[Option, ...]:
    """Inputs belong to others, and another cleanup policy deletes what was kept: both need a person's word."""
    options: tuple[Option, ...] = () if bound.required else ("recommended",)
    return (*options, "force") if plan.file.role == "input" or bound.setting == "cleanup.policy" else options


def _run(options: tuple[Option, ...]) -> str:
    return f"run `{' '.join(('journey topics apply', *(f'--{option}' for option in options)))}`"


def _mend_partitions(
    plan: TopicPlan, topic: FoundTopic, fixed: int | None, bootstrap: str
) -> tuple[tuple[Option, ...] | None, str, str]:
    lanes, role = plan.partition_count, plan.file.role
    tool = f"kafka-topics.sh --bootstrap-server {bootstrap} --topic {plan.name}"
    if role == "progress":
        mend = "nothing on it lasts: stop the workers, delete it and run `journey topics apply`"
        return None, mend, f"{tool} --delete"
    if fixed is not None and fixed != lanes:
        return None, another_number(fixed), ""
    if role in ("input", "dead-letters") and topic.partitions < lanes:
        return ("force",), _run(("force",)), f"{tool} --alter --partitions {lanes}"
    if role == "input":
        mend = f"Kafka cannot take partitions away: send to a new topic with {lanes}, and name that in `inputs`"
        return None, mend, ""
    return None, another_number(topic.partitions), ""


def another_number(lanes: int) -> str:
    """What to do where the settings and the cluster have different numbers of lanes."""
    return (
        f"the number of lanes is fixed for good: set `partitions: {lanes}`, or take another `app_id` and `prefix` and "
        "replay the inputs"
    )
