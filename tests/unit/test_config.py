"""Settings: the defaults that others rely on, files, the environment, and what is refused together."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.config import Input, Settings, load
from pipeline.config_page import describe, page
from pipeline.errors import UserError
from tests.unit.broken_files import broken_files, expected, messages

ROOT = Path(__file__).parents[2]


def test_needs_neither_file_nor_environment() -> None:
    settings = load(None, {})
    assert settings == Settings()
    assert settings.input_topics == ("raw.web", "raw.email", "raw.social", "raw.phone", "raw.store")
    assert [item.channel for item in settings.inputs] == ["web", "email", "social", "phone", "store"]
    assert settings.lateness == settings.grace["store"] == 86_400_000


def test_listens_and_connects_on_loopback_only_unless_told() -> None:
    settings = Settings()
    assert settings.http_host == "127.0.0.1"
    assert settings.brokers.startswith("127.0.0.1:")
    assert settings.redis_url.startswith("redis://127.0.0.1:")


def test_derives_names() -> None:
    live, event = Settings(prefix="t1."), Settings(clock="event", app_id="what-if")
    assert live.application == "journey"
    assert live.topic("journey.transitions") == "t1.journey.transitions"
    assert live.input_topics[0] == "t1.raw.web"
    assert live.transactional_id(3) == "journey-3"
    assert live.table_key(3) == "journey:{3}"
    assert event.application == "what-if-event"
    assert event.table_key(0) == "what-if-event:{0}"


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("brokers: a:1,b:2\ngrace: {store: 12h}\ninputs: {topic: work.events, channel_field: channel}\n")
    settings = load(path, {})
    assert settings.brokers == "a:1,b:2"
    assert settings.grace == {
        "web": 300_000,
        "email": 300_000,
        "social": 300_000,
        "phone": 300_000,
        "store": 43_200_000,
    }
    assert settings.inputs == (Input(topic="work.events", channel_field="channel"),)


@pytest.mark.parametrize("text", ["", "# all as it comes\n", "{}\n"])
def test_an_empty_file_is_all_defaults(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    assert load(path, {}) == Settings()


def test_the_environment_names_the_file_and_an_argument_wins(tmp_path: Path) -> None:
    named, given = tmp_path / "named.yaml", tmp_path / "given.yaml"
    named.write_text("partitions: 4\n")
    given.write_text("partitions: 6\n")
    assert load(None, {"JOURNEY_CONFIG": str(named)}).partitions == 4
    assert load(given, {"JOURNEY_CONFIG": str(named)}).partitions == 6


def test_a_variable_that_names_no_file_is_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: no such file; JOURNEY_CONFIG names it"):
        load(None, {"JOURNEY_CONFIG": str(tmp_path / "none.yaml")})


@pytest.mark.parametrize(
    ("variable", "value", "name", "found"),
    [
        ("JOURNEY_BROKERS", "kafka:9092", "brokers", "kafka:9092"),
        ("JOURNEY_APP_ID", "5", "app_id", "5"),
        ("JOURNEY_PARTITIONS", "4", "partitions", 4),
        ("JOURNEY_TICK_S", "2", "tick_s", 2.0),
        ("JOURNEY_LATENESS", "7d", "lateness", 604_800_000),
        ("JOURNEY_CLOCK", "event", "clock", "event"),
        ("JOURNEY_JOURNEYS", "[a, ./b.yaml]", "journeys", ("a", "./b.yaml")),
        ("JOURNEY_JOURNEYS", "a", "journeys", ("a",)),
        ("JOURNEY_TOUCHES", "own.yaml", "touches", "own.yaml"),
        ("JOURNEY_INPUTS", '[{"topic": "t", "channel": "web"}]', "inputs", (Input(topic="t", channel="web"),)),
        ("JOURNEY_REDIS_URL", "redis://:p # w@h/0".replace(" ", ""), "redis_url", "redis://:p#w@h/0"),
        ("JOURNEY_PREFIX", "", "prefix", "file."),
    ],
)
def test_the_environment_overrides(tmp_path: Path, variable: str, value: str, name: str, found: object) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("partitions: 3\nprefix: file.\njourneys: [c.yaml]\ntouches: t.yaml\n")
    assert getattr(load(path, {variable: value}), name) == found


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"JOURNEY_BROKRES": "x"}, "JOURNEY_BROKRES: there is no such setting; did you mean 'JOURNEY_BROKERS'?"),
        ({"JOURNEY_CONFG": "x"}, "JOURNEY_CONFG: there is no such setting; did you mean 'JOURNEY_CONFIG'?"),
        ({"JOURNEY_QQQQ": "x"}, "JOURNEY_QQQQ: there is no such setting"),
        ({"JOURNEY_brokers": "x"}, "JOURNEY_brokers: there is no such setting; did you mean 'JOURNEY_BROKERS'?"),
        ({"JOURNEY_PARTITIONS": "many"}, "JOURNEY_PARTITIONS: partitions must be a whole number"),
        (
            {"JOURNEY_LATENESS": "1h"},
            "JOURNEY_LATENESS: lateness (1h) must be more than 0 and at least the grace of store (1d)",
        ),
        (
            {"JOURNEY_INPUTS": "[{topic: t, chanel: web}]"},
            "JOURNEY_INPUTS: unknown key 'chanel'; did you mean 'channel'?",
        ),
        (
            {"JOURNEY_INPUTS": "[{topic: t"},
            "JOURNEY_INPUTS: not YAML: while parsing a flow mapping, expected ',' or '}', but got '<stream end>'",
        ),
    ],
)
def test_refuses_in_the_environment(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as refusal:
        load(None, environ)
    assert refusal.value.message.splitlines()[0] == message


@pytest.mark.parametrize(
    "environ",
    [
        {"PATH": "/bin", "MY_JOURNEY_X": "1"},
        {"JOURNEY_CACHE": "somewhere"},
        {"JOURNEY_SERVICE_HOST": "10.0.0.1", "JOURNEY_SERVICE_PORT": "80", "JOURNEY_SERVICE_PORT_HTTP": "80"},
        {"JOURNEY_PORT": "tcp://10.0.0.1:80", "JOURNEY_PORT_80_TCP_ADDR": "10.0.0.1", "JOURNEY_PORT_80_TCP": "tcp://…"},
        {"JOURNEY_HTTP_PORT": "tcp://10.0.0.1:80", "JOURNEY_HTTP_SERVICE_HOST": "10.0.0.1"},
    ],
)
def test_passes_over_what_is_not_ours(environ: dict[str, str]) -> None:
    assert load(None, environ) == Settings()


@pytest.mark.parametrize("path", broken_files("settings"))
def test_refuses_a_file(path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        load(path, {})
    assert messages(path, refusal.value) == expected(path)


def test_paths_of_models_start_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("journeys: [five-stage, own/club.yaml, /abs/club.yaml]\ntouches: touches.yaml\n")
    settings = load(path, {})
    assert settings.journeys == ("five-stage", f"{tmp_path}/own/club.yaml", "/abs/club.yaml")
    assert settings.touches == f"{tmp_path}/touches.yaml"


def test_never_shows_the_password() -> None:
    settings = Settings(redis_url="redis://:secret@cache:6379/0")
    shown = [
        repr(settings),
        str(settings),
        settings.redis_shown,
        str(settings.model_dump()),
        settings.model_dump_json(),
    ]
    assert not [text for text in shown if "secret" in text]
    assert settings.redis_shown == "redis://***@cache:6379/0"
    assert settings.redis_url == "redis://:secret@cache:6379/0"


@pytest.mark.parametrize("url", ["http://:secret@cache", "redis//:secret@cache", "redis://:sec ret@cache"])
def test_does_not_show_the_password_in_a_refusal(tmp_path: Path, url: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(f"redis_url: {url}\n")
    for source, environ in ((path, {}), (None, {"JOURNEY_REDIS_URL": url})):
        with pytest.raises(UserError) as refusal:
            load(source, environ)
        assert "ret@" not in refusal.value.message


def test_is_immutable_and_checked_when_made_by_a_program() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.partitions = 5
    with pytest.raises(ValidationError, match="lateness"):
        Settings(lateness=3_600_000)


def test_describes_every_setting() -> None:
    described = {setting.name: setting for setting in describe()}
    assert list(described) == list(Settings.model_fields)
    assert all(setting.text for setting in described.values())
    assert described["grace"].default == "{web: 5min, email: 5min, social: 5min, phone: 5min, store: 1d}"
    assert described["inputs"].default.startswith("[{topic: raw.web, channel: web}, ")


def test_the_described_defaults_can_be_written_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("".join(f"{setting.name}: {setting.default}\n" for setting in describe()))
    assert load(path, {}) == Settings()


def test_the_page_is_fresh() -> None:
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == page(), "write it again: python -m pipeline.config_page > docs/settings.md"
