"""The schemas, their examples, and what the code reads and writes, agree."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator
from pydantic import SecretStr
from ruamel.yaml import YAML

from pipeline.adapters.identity_kinds import identities_of
from pipeline.adapters.schemas import folder, mistakes, validator
from pipeline.adapters.topic_files import topic_files
from pipeline.application.intake import Batch, Command, Intake, Limits, Source
from pipeline.application.lane_record import LaneRecord, encode_lane, first_lane_record
from pipeline.application.ports import Headers, ProgressRecord
from pipeline.application.records import customer_record, signal_record, transition_record
from pipeline.config import Settings
from pipeline.domain.event import CHANNELS, Invalid, Reason, decode, moment, named
from pipeline.domain.feed import Signal, SignalKind, Transition, TransitionKind
from pipeline.domain.history import Entry
from pipeline.domain.messages import Seen, decode_message
from pipeline.domain.profile import new_position, new_profile, track_of
from pipeline.domain.touches import TouchTable

SCHEMAS = sorted(folder().glob("*/v*.schema.json"))
VALID = sorted(folder().glob("*/examples/*.json"))
INVALID = sorted(folder().glob("*/examples/invalid/*.json"))
IDENTITIES = identities_of(Settings(identity_key=SecretStr("k" * 32)))
WRITTEN_BY_US = ("transition", "signal", "customer", "progress", "lane-record", "command")


def reference(path: Path) -> str:
    """`transition/v1`, of a schema."""
    return f"{path.parent.name}/{path.name.removesuffix('.schema.json')}"


def schema_of(name: str) -> Any:
    return validator(name).schema


def shown(path: Path) -> str:
    return str(path.relative_to(folder()).with_suffix(""))


def of_example(path: Path) -> tuple[str, int]:
    """Name and version of the schema that an example is for: its folder, and its name's beginning."""
    return path.relative_to(folder()).parts[0], int(path.name.partition("-")[0].removeprefix("v"))


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


@pytest.mark.parametrize("path", SCHEMAS, ids=shown)
def test_a_schema_is_valid_and_says_what_it_is_about(path: Path) -> None:
    schema = read(path)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:journey:{reference(path).replace('/', ':')}"
    assert schema["title"].endswith(path.name.partition(".")[0])
    nameless = [name for name, field in schema["properties"].items() if "description" not in resolved(schema, field)]
    assert nameless == []


def resolved(schema: Any, field: Any) -> Any:
    """A field with what its reference says, if it has one."""
    found = schema
    for step in field.get("$ref", "#").removeprefix("#/").split("/") if "$ref" in field else ():
        found = found[step]
    return {**found, **field} if "$ref" in field else field


@pytest.mark.parametrize("path", VALID, ids=shown)
def test_an_example_is_valid(path: Path) -> None:
    assert mistakes(read(path), *of_example(path)) == []


@pytest.mark.parametrize("path", INVALID, ids=shown)
def test_a_wrong_example_is_refused_where_it_is_wrong(path: Path) -> None:
    example = read(path)
    assert example["why"].endswith(".")
    errors = list(validator(*of_example(path)).iter_errors(example["record"]))
    assert {error.json_path for error in errors} == {example["where"]}


def test_each_version_has_both_kinds_of_examples() -> None:
    schemas = {(path.parent.name, int(path.name[1:].partition(".")[0])) for path in SCHEMAS}
    assert {of_example(path) for path in VALID} == schemas
    assert {of_example(path) for path in INVALID} == schemas


def test_versions_have_no_gaps() -> None:
    versions: dict[str, list[int]] = {}
    for path in SCHEMAS:
        versions.setdefault(path.parent.name, []).append(int(path.name[1:].partition(".")[0]))
    assert {name: sorted(found) for name, found in versions.items()} == {
        name: list(range(1, len(found) + 1)) for name, found in versions.items()
    }


def test_every_schema_is_on_a_topic_and_every_topic_has_its_schemas() -> None:
    of_files = {"journey/v1"}
    on_topics = {name for file in topic_files() for name in file.schemas}
    assert on_topics | of_files == {reference(path) for path in SCHEMAS}


def test_nothing_else_lies_among_the_schemas() -> None:
    expected = {*SCHEMAS, *VALID, *INVALID, *(folder() / "topics").glob("*.yaml"), folder() / "asyncapi.yaml"}
    assert {path for path in folder().rglob("*") if path.is_file()} - expected == set()


@pytest.mark.parametrize("name", WRITTEN_BY_US)
def test_what_we_write_is_closed_and_keeps_its_order(name: str) -> None:
    schema = schema_of(name)
    assert schema["additionalProperties"] is False
    order = list(schema["properties"])
    for path in VALID:
        if path.parent.parent.name == name:
            assert list(read(path)) == [key for key in order if key in read(path)], path.name


def test_a_missing_schema_is_named_with_those_there_are() -> None:
    with pytest.raises(LookupError, match=r"no schema tranistion/v1; known: .*transition"):
        validator("tranistion")


def accepted(record: Any) -> bool:
    """Whether a lane takes the event, but for what needs its topic and its append time."""
    try:
        event = decode(json.dumps(record).encode(), 262_144, 32)
        named(event, IDENTITIES)
        moment(event)
    except Invalid:
        return False
    return event.channel is None or event.channel in CHANNELS


@pytest.mark.parametrize("path", [path for path in VALID if of_example(path)[0] == "raw-event"], ids=shown)
def test_a_lane_takes_what_the_schema_takes(path: Path) -> None:
    assert accepted(read(path))


@pytest.mark.parametrize("path", [path for path in INVALID if of_example(path)[0] == "raw-event"], ids=shown)
def test_a_lane_refuses_what_the_schema_refuses(path: Path) -> None:
    assert not accepted(read(path)["record"])


BY_EVENT = Entry(1_738_315_800_000, "awareness", "awareness", "web-1", "page_viewed", "web", -1)
BY_SILENCE = Entry(1_746_091_800_000, "lapsed", "lapsed", "", "", "", 1_738_315_800_000)
NOW = "2025-05-02T09:30:01.020Z"


TRANSITIONS = (
    Transition("c:4711", 17, "five-stage", 3, 1, "entered", "", "awareness", BY_EVENT, ()),
    Transition("c:4711", 17, "five-stage", 3, 2, "entered", "awareness", "lapsed", BY_SILENCE, ()),
    Transition("c:4711", 17, "five-stage", 3, 3, "corrected", "lapsed", "awareness", BY_EVENT, (BY_SILENCE,)),
    Transition("anonymous:ab", 17, "five-stage", 3, 4, "retracted", "awareness", "", BY_EVENT, ()),
)


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda each: each.kind)
def test_transitions_are_written_by_their_schema(transition: Transition) -> None:
    assert_written(transition_record(transition, NOW), "transition")


@pytest.mark.parametrize("kind", get_args(SignalKind))
@pytest.mark.parametrize(("stage", "expires"), [("", None), ("purchase", 1_738_315_800_000)])
def test_signals_are_written_by_their_schema(kind: SignalKind, stage: str, expires: int | None) -> None:
    signal = Signal(
        "c:4711", 17, "five-stage", 3, "cart_abandoned", kind, 1, "cart_abandoned", 0, 1, expires, False, False, stage
    )
    assert_written(signal_record(signal, NOW), "signal")


def test_customers_are_written_by_their_schema() -> None:
    profile = new_profile("c:4711", 17)
    strand = profile.strands[0]
    strand.first = strand.newest = 1_738_315_800_000
    nowhere = track_of("", -1, 0, (), (), (), ())
    for journey, seq, stage, since in (("five-stage", 2, "purchase", 1_738_315_800_000), ("buying", 0, "", -1)):
        position = new_position(profile.frame, journey, 3, nowhere)
        position.seq, position.stage, position.since = seq, stage, since
        profile.positions = (*profile.positions, position)
    assert_written(customer_record(profile, NOW), "customer")


@dataclass
class Read:
    """A record of an input."""

    value: bytes | None
    key: bytes | None = b"4711"
    headers: Headers = (("traceparent", b"00-4bf92f"),)
    offset: int = 118_221
    timestamp: int = 1_738_315_800_123


def taken(value: bytes, home: int) -> Batch:
    """What lane 3 makes of a record on raw.web whose customer is at home on lane `home`."""
    batch = Batch()
    intake = Intake(3, TouchTable(()), Limits(max_bytes=1000), lambda key: home, event_clock=False)
    intake.take(Source("raw.web", "raw", "web"), [Read(value)], batch)
    return batch


def as_text(headers: Headers) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in headers}


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"{", "not_json"), (b'{"id": 5}', "bad_id"), (b" " * 1001, "too_large")],
    ids=["not-json", "bad-id", "too-large"],
)
def test_dead_letters_are_written_by_their_schema(value: bytes, reason: str) -> None:
    ((_, _, headers),) = taken(value, home=3).dead
    assert mistakes(as_text(headers), "dead-letter") == []
    assert as_text(headers)["journey.reason"] == reason


def test_routed_events_are_written_by_their_schema() -> None:
    event = read(folder() / "raw-event/examples/v1-known-on-the-web.json")
    ((_, value, headers),) = taken(json.dumps(event).encode(), home=7).routed[7]
    assert mistakes(as_text(headers), "routed") == []
    message = decode_message(value or b"")
    assert isinstance(message, Seen)
    assert message.id == event["id"]


def test_the_first_lane_record_is_written_by_its_schema() -> None:
    assert_written(encode_lane(first_lane_record("journey", 12)), "lane-record")


def assert_written(data: bytes, name: str) -> None:
    record = json.loads(data)
    assert mistakes(record, name) == []
    assert list(record) == [key for key in schema_of(name)["properties"] if key in record]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("lane-record", msgspec.structs.fields(LaneRecord)),
        ("command", msgspec.structs.fields(Command)),
        ("progress", fields(ProgressRecord)),
    ],
)
def test_a_private_record_has_the_fields_of_its_schema(name: str, fields: tuple[Any, ...]) -> None:
    assert [field.name for field in fields] == list(schema_of(name)["properties"])


def test_closed_lists_are_those_of_the_code() -> None:
    def listed(name: str, field: str) -> list[str]:
        return list(schema_of(name)["properties"][field]["enum"])

    assert listed("dead-letter", "journey.reason") == list(get_args(Reason))
    assert listed("transition", "kind") == list(get_args(TransitionKind))
    assert listed("signal", "kind") == list(get_args(SignalKind))
    assert listed("raw-event", "channel") == [*CHANNELS, None]


def asyncapi() -> Any:
    return YAML(typ="safe", pure=True).load(folder() / "asyncapi.yaml")


def test_asyncapi_describes_every_public_topic_and_no_other() -> None:
    document = asyncapi()
    for channel in document["channels"].values():
        file = next(file for file in topic_files() if file.name == channel["address"])
        assert file.role in {"input", "feed", "table"}
        payloads = {
            document["components"]["messages"][message["$ref"].rpartition("/")[2]]["payload"]["$ref"]
            for message in channel["messages"].values()
        }
        assert payloads == {f"./{name}.schema.json" for name in file.schemas}
    public = {file.name for file in topic_files() if file.role in {"input", "feed", "table"}}
    assert {channel["address"] for channel in document["channels"].values()} == public


def test_asyncapi_has_one_operation_a_channel() -> None:
    document = asyncapi()
    operated = [operation["channel"]["$ref"] for operation in document["operations"].values()]
    assert sorted(operated) == sorted(f"#/channels/{name}" for name in document["channels"])
    for operation in document["operations"].values():
        channel = document["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
        assert operation["action"] == ("receive" if channel["address"].startswith("raw.") else "send")
