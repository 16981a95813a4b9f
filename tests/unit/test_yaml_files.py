"""YAML with places: what is refused, how it is shown, and how models, files and later checks share one form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from pipeline.adapters.yaml_documents import Source, closest, hide_passwords, parse, read, refuse
from pipeline.adapters.yaml_files import LONE_OR_MANY, Duration, Section, check, load
from pipeline.errors import UserError
from tests.unit.broken_files import broken_files, expected, messages


class Colour(Section):
    elsewhere: ClassVar[Mapping[str, str]] = {"gloss": "a varnish has it"}
    name: str
    shade: Literal["light", "dark"] = "light"


class Palette(Section):
    colours: Annotated[tuple[Colour, ...], LONE_OR_MANY]
    dries: Duration = 0
    by_room: dict[str, Colour] = Field(default={})


@pytest.mark.parametrize("path", broken_files("yaml"))
def test_refuses_what_is_no_plain_yaml(path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        read(path)
    assert messages(path, refusal.value) == expected(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'no'", "no"),
        ("['yes', \"on\", 'off', y]", ("yes", "on", "off", "y")),
        ("[true, False, ~, null]", (True, False, None, None)),
        ("[5, -3, 1_000, 0x1f, 0o17, 010]", (5, -3, 1000, 31, 15, 10)),
        ("[1.5, 1e3, -.5]", (1.5, 1000.0, -0.5)),
        ("['5', \"true\"]", ("5", "true")),
        ("2026-11-23", "2026-11-23"),
        ("{no: 1, 5: a}", {"no": 1, "5": "a"}),
        ("", None),
        ("# nothing\n", None),
        ("\ufeffa: 1", {"a": 1}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
    ],
)
def test_reads_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(text, encoding="utf-8")
    assert read(path).value == value


def test_shows_the_place() -> None:
    document = parse(Source("some.yaml", "first: 1\ncolours:\n  - {name: rde}\n"))
    problem = document.problem(("colours", 0, "name"), "unknown colour 'rde'", "red")
    assert str(problem) == (
        "some.yaml:3:12: unknown colour 'rde'; did you mean 'red'?\n  3 |   - {name: rde}\n    |            ^"
    )


@pytest.mark.parametrize(
    ("loc", "at_key", "place"),
    [
        ((), False, "some.yaml:1:1"),
        (("a",), False, "some.yaml:1:4"),
        (("a",), True, "some.yaml:1:1"),
        (("b", 1), False, "some.yaml:2:8"),
        (("c", "d", "e"), False, "some.yaml:4:10"),
        (("a", 0), False, "some.yaml:1:4"),  # a lone value as the first of a list
        (("c", "missing"), False, "some.yaml:4:3"),
        (("b", 7), False, "some.yaml:2:4"),
    ],
)
def test_finds_the_place_of(loc: tuple[str | int, ...], at_key: bool, place: str) -> None:
    document = parse(Source("some.yaml", "a: 1\nb: [5, 6]\nc:\n  d: {e: 1}\n"))
    assert str(document.mark(loc, at_key)) == place


def test_refuses_all_problems_at_once_in_order() -> None:
    document = parse(Source("some.yaml", "a: 1\nb: 2\n"))
    later, earlier = document.problem(("b",), "later"), document.problem(("a",), "earlier")
    with pytest.raises(UserError) as refusal:
        refuse([later, earlier, later])
    assert [line for line in refusal.value.message.splitlines() if "some.yaml" in line] == [
        "some.yaml:1:4: earlier",
        "some.yaml:2:4: later",
    ]
    assert refusal.value.exit_code == 2


def test_no_problem_is_no_refusal() -> None:
    refuse([])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "p:1:1: the key 'colours' is missing"),
        ("colours: {}", "p:1:10: the key 'name' is missing"),
        ("colours: {name: red, shde: dark}", "p:1:22: unknown key 'shde'; did you mean 'shade'?"),
        ("colours: [{name: a}, {name: red, zzz: 1}]", "p:1:34: unknown key 'zzz'; known: name, shade"),
        ("colours: {name: red, gloss: 1}", "p:1:22: a varnish has it"),
        ("colours: {name: red, shade: drak}", "p:1:29: unknown shade 'drak'; did you mean 'dark'?"),
        ("colours: {name: red, shade: 4}", "p:1:29: unknown shade '4'; known: light, dark"),
        ("colours: []\nby_room: {hall: {nam: x, name: y}}", "p:2:18: unknown key 'nam'; did you mean 'name'?"),
        ("colours: []\ndries: 5", "p:2:8: dries must be a duration with its unit, such as 90d"),
        ("colours: []\ndries: 5m", "p:2:8: unknown unit 'm' in '5m'; did you mean '5min'?"),
    ],
)
def test_words_what_a_model_refuses(text: str, message: str) -> None:
    with pytest.raises(UserError) as refusal:
        check(parse(Source("p", text)), Palette)
    assert refusal.value.message.splitlines()[0] == message


def test_a_lone_value_needs_no_brackets(tmp_path: Path) -> None:
    path = tmp_path / "palette.yaml"
    path.write_text("colours: {name: red}\ndries: 2h\n")
    assert load(path, Palette) == Palette(colours=(Colour(name="red"),), dries=7_200_000)


def test_a_program_may_give_milliseconds() -> None:
    assert Palette(colours=(), dries=5).dries == 5


def test_a_missing_file_names_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "work.yaml").touch()
    with pytest.raises(UserError) as refusal:
        read(tmp_path / "wrok.yaml")
    assert refusal.value.message == f"{tmp_path}/wrok.yaml: no such file; did you mean '{tmp_path}/work.yaml'?"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: \xff\n", ":2: not UTF-8: byte 0xff; save the file as UTF-8"),
        (b"[" * 5000, ":1:1: not YAML: nested too deeply to be read"),
    ],
)
def test_refuses_what_cannot_be_read(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as refusal:
        read(path)
    assert refusal.value.message.splitlines()[0] == f"{path}{message}"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("redis://:secret@cache:6379/0", "redis://***@cache:6379/0"),
        ("redis://me:se/c r@et@cache", "redis://***@cache"),
        ("redis://cache/0?password=secret&db=1", "redis://cache/0?password=***&db=1"),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis//:secret@cache", "redis//:***@cache"),
        ("redis_url: me:secret@cache", "redis_url: ***@cache"),
        (":secret@cache", ":***@cache"),
        ("secret@cache", "***@cache"),
    ],
)
def test_hides_passwords(line: str, shown: str) -> None:
    assert hide_passwords(line) == shown


def test_an_excerpt_hides_passwords_and_keeps_the_caret_in_place() -> None:
    document = parse(Source("s.yaml", "{url: 'redis://:secret@cache', tick: x}"))
    assert document.problem(("tick",), "no").mark.excerpt() == (
        "  1 | {url: 'redis://***@cache', tick: x}\n    |                                  ^"
    )


@pytest.mark.parametrize(
    ("word", "meant"), [("Labels", "labels"), ("lables", "labels"), ("stage", "stages"), ("x", None)]
)
def test_guesses_what_was_meant(word: str, meant: str | None) -> None:
    assert closest(word, ["labels", "stages"]) == meant
