"""The settings of a worker: from a YAML file, each overridden by the environment variable JOURNEY_<NAME>.

Durations are texts such as `24h` in the file and milliseconds here; a name that ends in `_s` or `_ms` says its unit.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_serializer, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from pipeline.adapters.phone_numbers import phone_region
from pipeline.adapters.yaml_documents import Document, Loc, Mark, Node, Source, closest, hide_passwords, parse, read
from pipeline.adapters.yaml_files import LONE_OR_MANY, NOT_EMPTY, Duration, Section, check, closed_set, matching
from pipeline.domain.duration import format_duration
from pipeline.domain.event import CHANNELS
from pipeline.errors import UserError

VARIABLE: Final = "JOURNEY_"
OTHER_VARIABLES: Final[Mapping[str, str]] = {
    "JOURNEY_CONFIG": "the settings file, where no `--config` is given",
    "JOURNEY_CACHE": "where the embedded Kafka and Redis are kept once they are fetched",
    "JOURNEY_PURE": "1 runs what is compiled as its plain sources, which fold half as fast",
    "JOURNEY_FAILPOINTS": "for tests only: where and how a worker is to fail (failpoints.md)",
}
"""Variables that are no settings, and what they are for."""

# Kubernetes hands such variables to every container of a namespace, one set for each service called journey-something.
_SERVICE_LINK: Final = re.compile(r"JOURNEY_(\w+_)?(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP)\w*)")

JOURNEYS: Final = ("five-stage", "buying", "purchase-cycle", "lifecycle", "customer-management")
GRACE: Final = {"web": 300_000, "email": 300_000, "social": 300_000, "phone": 300_000, "store": 86_400_000}

LEAST_KEY: Final = 32
"""Characters of the key that personal identities are hashed by."""
LEAST_TOKEN: Final = 16

Channel = Annotated[str, closed_set("channel", CHANNELS)]
Name = matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "letters, digits, '.', '_' and '-'")
Prefix = matching(r"[A-Za-z0-9._-]{0,100}", "letters, digits, '.', '_' and '-'")
Topic = matching(r"[A-Za-z0-9._-]{1,149}", "a topic's name: letters, digits, '.', '_' and '-'")
Brokers = matching(r"[^\s,:/]+:\d+(,[^\s,:/]+:\d+)*", "host:port, or several with commas between")
KindName = matching(
    r"(?!c$)[a-z][a-z0-9_-]{0,31}", "lower-case letters, digits, '_' and '-', and not c, which customer ids have"
)
RedisUrl = matching(r"(rediss?|unix)://\S+", "a URL that begins with redis://, rediss:// or unix://")


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        said = f"'{pattern}' is no regular expression: {error}"
        raise PydanticCustomError("pattern", "{said}", {"said": said}) from None
    return pattern


class Input(Section):
    """A topic of raw events: all of one `channel`, or each with its own in the field `channel_field`."""

    topic: Annotated[str, Topic]
    channel: Channel | None = None
    channel_field: Annotated[str, Field(min_length=1)] | None = None


class IdentityKind(Section):
    """A kind of identity beside the customer id; what a `personal` one says leaves the inputs hashed only.

    `region`: the country (ISO 3166) of telephone numbers that are written without one.
    """

    kind: Annotated[str, KindName]
    personal: bool = False
    normalise: Literal["email", "phone", "lower", "none"] = "none"
    region: Annotated[str, AfterValidator(phone_region)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.normalise in ("email", "phone") and not self.personal:
            said = f"normalise: {self.normalise} is for kinds that are personal: true, which are hashed"
            raise PydanticCustomError("personal", "{said}", {"said": said})
        if self.region is not None and self.normalise != "phone":
            raise PydanticCustomError("region", "region goes with normalise: phone")
        return self


class NeverIdentify(Section):
    """Values that identify nobody, whatever their kind: texts, in any case, and regular expressions for all of one."""

    values: Annotated[tuple[str, ...], LONE_OR_MANY] = (
        "null", "none", "nil", "undefined", "unknown", "anonymous", "guest", "n/a", "nan"
    )  # fmt: skip
    patterns: Annotated[tuple[Annotated[str, AfterValidator(_regular)], ...], LONE_OR_MANY] = ("[0 .-]+",)


class Breaker(Section):
    """How many customers' events may break the fold within a minute before the lane stops and waits for a person."""

    customers: Annotated[int, Field(ge=1)] = 20
    share: Annotated[float, Field(gt=0, le=1)] = 0.01
    at_least: Annotated[int, Field(ge=1)] = 5


def _setting(default: object, unit: str, text: str, **limits: Any) -> Any:
    return Field(default, description=text, json_schema_extra={"unit": unit}, **limits)


class Settings(Section):
    """All settings, checked one by one and against each other. Topics are named here without the prefix."""

    app_id: Annotated[str, Name] = _setting(
        "journey", "", "names the consumer group, the transactional ids and the keys in Redis"
    )
    prefix: Annotated[str, Prefix] = _setting("", "", "stands before the name of every topic, inputs too")
    brokers: Annotated[str, Brokers] = _setting(
        "127.0.0.1:29092", "", "Kafka: host:port, or several with commas between"
    )
    redis_url: Annotated[str, RedisUrl] = _setting(
        "redis://127.0.0.1:26379/0", "", "the Redis that holds the tables; its password is never shown"
    )
    partitions: int = _setting(12, "partitions", "lanes, and partitions of every topic of theirs; fixed for good", ge=1)
    inputs: Annotated[tuple[Input, ...], LONE_OR_MANY, NOT_EMPTY] = _setting(
        tuple(Input(topic=f"raw.{channel}", channel=channel) for channel in CHANNELS),
        "",
        "topics of raw events, each with its `channel`, or the `channel_field` that names it where a topic has several",
    )
    identities: tuple[IdentityKind, ...] = _setting(
        (
            IdentityKind(kind="loyalty", normalise="lower"),
            IdentityKind(kind="email", personal=True, normalise="email"),
            IdentityKind(kind="phone", personal=True, normalise="phone"),
            IdentityKind(kind="anonymous"),
        ),
        "",
        "what names a customer beside their id, strongest first ([identities](concepts.md#identities)); fixed for good",
    )
    never_identify: NeverIdentify = _setting(
        NeverIdentify(), "", "`values` (in any case) and `patterns` that stand for nobody, customer ids included"
    )
    identity_key: SecretStr = _setting(
        SecretStr(""), "", "by which personal identities are hashed, 32 characters or more; never shown, fixed for good"
    )
    identity_key_file: str = _setting("", "", "the file that holds it instead, a path from this file's folder")
    erased_later: Literal["anew", "drop"] = _setting(
        "anew", "", "an erased identity that comes later begins `anew`, or is dropped ([erasure](erasure.md))"
    )
    erased_remembered: Duration = _setting(
        30 * 86_400_000, "duration", "how long a keyed hash of an erased identity is kept for that"
    )
    clock: Literal["live", "event"] = _setting(
        "live", "", "`event`: time is what punctuation records say, for backfills, tests and what-if runs"
    )
    lateness: Duration = _setting(86_400_000, "duration", "how much older than its customer's newest event one may be")
    recent_limit: int = _setting(64, "events", "events a customer that can still be put in order", ge=1)
    grace: Annotated[dict[Channel, Duration], AfterValidator(lambda given: GRACE | given)] = _setting(
        GRACE, "duration by channel", "how late a channel may deliver before its silence means something"
    )
    future: Duration = _setting(300_000, "duration", "how far an event may be ahead of the broker's clock")
    journeys: Annotated[tuple[str, ...], LONE_OR_MANY, NOT_EMPTY] = _setting(
        JOURNEYS, "", "the journeys that run: built-in names, or paths from this file's folder"
    )
    touches: str = _setting("touches", "", "the touch table: a built-in name, or a path from this file's folder")
    cache_profiles: int = _setting(100_000, "profiles", "customers that a process keeps in memory", ge=1)
    max_event_bytes: int = _setting(262_144, "bytes", "larger events become dead letters", ge=1)
    max_depth: int = _setting(32, "levels", "events that are nested deeper become dead letters", ge=1)
    max_batch_events: int = _setting(16_000, "events", "most events in one transaction", ge=1)
    fetch_max_bytes: int = _setting(4 * 1024 * 1024, "bytes", "most that one fetch of a partition brings", ge=1)
    fetch_min_bytes: int = _setting(64 * 1024, "bytes", "the broker holds a fetch back until there is this much", ge=1)
    fetch_max_wait_ms: int = _setting(40, "ms", "but no longer than this", ge=0)
    session_timeout_s: float = _setting(10.0, "s", "a worker that is silent for so long loses its lanes", gt=0)
    rebalance_timeout_s: float = _setting(12.0, "s", "how long a rebalance waits for a worker that hangs", gt=0)
    transaction_timeout_ms: int = _setting(
        12_000, "ms", "Kafka aborts a transaction that is open for so long", gt=0, le=900_000
    )
    step_timeout_s: float = _setting(8.0, "s", "most that one step with Kafka or Redis may take", gt=0)
    tick_s: float = _setting(1.0, "s", "between two reports of a lane's progress", gt=0)
    breaker: Breaker = _setting(
        Breaker(), "per minute", "a lane stops when so many `customers` fail, or such a `share` but `at_least` so many"
    )
    merge_wait_s: float = _setting(1.0, "s", "how long a lane waits for an input that is behind", ge=0)
    stuck_after_s: float = _setting(
        60.0, "s", "a lane that has work and stands for so long without a known reason ends the process", gt=0
    )
    ready_lag: int = _setting(
        10_000, "records", "a lane that has more than so many left to read has not caught up: it is not ready", ge=1
    )
    http_host: Annotated[str, Field(min_length=1)] = _setting("127.0.0.1", "", "where health and metrics listen")
    http_port: int = _setting(9464, "port", "their port; 0: they do not listen", ge=0, le=65_535)
    debug_token: SecretStr = _setting(
        SecretStr(""), "", "opens `/debug`, 16 characters or more; without one there is no `/debug`; never shown"
    )
    traces_endpoint: str = _setting(
        "",
        "",
        "the OTLP/HTTP address that spans go to, as `http://127.0.0.1:4318/v1/traces`; without one no trace goes on",
    )
    traces_ratio: float = _setting(0.001, "share", "of the traces that senders sample, how many get spans", ge=0, le=1)
    log_format: Literal["auto", "json", "pretty"] = _setting(
        "auto", "", "`auto`: pretty on a terminal, else JSON lines"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "", "the least that is logged")

    @property
    def application(self) -> str:
        """The id in effect, and the consumer group: a run on event time shares nothing with the live one."""
        return f"{self.app_id}-event" if self.clock == "event" else self.app_id

    @property
    def input_topics(self) -> tuple[str, ...]:
        """Full names, in the order of `inputs`."""
        return tuple(self.topic(item.topic) for item in self.inputs)

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return self.prefix + name

    def transactional_id(self, lane: int) -> str:
        return f"{self.application}-{lane}"

    @property
    def promoting_id(self) -> str:
        """The transactional id of whoever promotes: the second one fences the first."""
        return f"{self.application}-promote"

    def table_key(self, lane: int) -> str:
        """The Redis hash of a lane; the braces keep all keys of a lane in one slot of a cluster."""
        return f"{self.application}:{{{lane}}}"

    @property
    def redis_shown(self) -> str:
        """`redis_url` for people: without its password."""
        return hide_passwords(self.redis_url)

    @field_serializer("redis_url")
    def _without_password(self, url: str) -> str:
        return hide_passwords(url)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, self.redis_shown if name == "redis_url" else value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        errors = [
            InitErrorDetails(type=PydanticCustomError("settings", "{text}", {"text": text}), loc=loc, input=None)
            for loc, text in _disagreements(self)
        ]
        if errors:
            raise ValidationError.from_exception_data("Settings", errors)
        return self


def _disagreements(settings: Settings) -> Iterator[tuple[Loc, str]]:
    """Settings that are sound alone and not together, each with the place of one that was given."""

    def given(*names: str) -> Loc:
        return next(((name,) for name in names if name in settings.model_fields_set), ())

    channel, grace = max(settings.grace.items(), key=lambda item: item[1])
    if settings.lateness < max(grace, 1):
        at: Loc = ("grace", channel) if "grace" in settings.model_fields_set else given("lateness")
        lateness, least = format_duration(settings.lateness), format_duration(grace)
        yield at, f"lateness ({lateness}) must be more than 0 and at least the grace of {channel} ({least})"
    yield from _input_disagreements(settings.inputs)
    yield from _identity_disagreements(settings)
    yield from _token_disagreements(settings)
    if settings.rebalance_timeout_s < settings.session_timeout_s:
        at = given("rebalance_timeout_s", "session_timeout_s")
        yield at, "rebalance_timeout_s must be at least session_timeout_s"
    if settings.transaction_timeout_ms <= settings.step_timeout_s * 1000:
        at = given("transaction_timeout_ms", "step_timeout_s")
        yield at, "transaction_timeout_ms must be longer than step_timeout_s, or Kafka aborts what is being written"
    if settings.stuck_after_s <= settings.step_timeout_s:
        yield given("stuck_after_s", "step_timeout_s"), "stuck_after_s must be longer than step_timeout_s"
    if settings.stuck_after_s <= settings.tick_s:
        yield given("tick_s", "stuck_after_s"), "stuck_after_s must be longer than tick_s"
    if settings.fetch_max_bytes < settings.fetch_min_bytes:
        yield given("fetch_min_bytes", "fetch_max_bytes"), "fetch_max_bytes must be at least fetch_min_bytes"
    if settings.fetch_max_bytes < settings.max_event_bytes:
        yield given("max_event_bytes", "fetch_max_bytes"), "fetch_max_bytes must be at least max_event_bytes"


def _input_disagreements(inputs: tuple[Input, ...]) -> Iterator[tuple[Loc, str]]:
    seen: set[str] = set()
    for place, item in enumerate(inputs):
        at: Loc = ("inputs", place)
        if (item.channel is None) == (item.channel_field is None):
            yield at, f"the input '{item.topic}' needs either channel or channel_field"
        if item.topic in seen:
            yield (*at, "topic"), f"the topic '{item.topic}' is an input already"
        if item.topic.startswith("journey."):
            yield (*at, "topic"), f"'{item.topic}' cannot be an input: 'journey.' begins the pipeline's own topics"
        seen.add(item.topic)


def _token_disagreements(settings: Settings) -> Iterator[tuple[Loc, str]]:
    token = settings.debug_token.get_secret_value()
    if token and (len(token) < LEAST_TOKEN or not token.isascii()):
        said = f"debug_token must have at least {LEAST_TOKEN} characters, of ASCII: openssl rand -hex 16"
        yield ("debug_token",), said


def _identity_disagreements(settings: Settings) -> Iterator[tuple[Loc, str]]:
    kinds = [item.kind for item in settings.identities]
    for place, kind in enumerate(kinds):
        if kind in kinds[:place]:
            yield ("identities", place, "kind"), f"the kind '{kind}' is there already"
    given = settings.identity_key.get_secret_value()
    if given and settings.identity_key_file:
        yield ("identity_key_file",), "identity_key is given, too: one of them must go"
    if given and len(given) < LEAST_KEY:
        yield ("identity_key",), f"identity_key must have at least {LEAST_KEY} characters: openssl rand -hex 32"


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of the file (else that of JOURNEY_CONFIG, else none) and of the environment, which wins.

    An empty variable counts as not set. UserError that lists every mistake.
    """
    if path is None and environ.get("JOURNEY_CONFIG"):
        path = Path(environ["JOURNEY_CONFIG"])
        if not path.is_file():
            raise UserError(
                f"{path}: no such file; JOURNEY_CONFIG names it. Name the file that the workers run with, or unset it"
            )
    document = read(path) if path else parse(Source("settings", ""))
    if document.value is None:
        document = Document(Node(document.root.mark, {}))
    overrides = _overrides(environ)
    for name, value in overrides.items():
        document = document.overlaid(name, _variable(name, value))
    settings = check(document, Settings)
    folder = path.parent if path else Path()
    from_folder = {
        "journeys": tuple(_from_folder(folder, name) for name in settings.journeys),
        "touches": _from_folder(folder, settings.touches),
        "identity_key_file": str(folder / settings.identity_key_file) if settings.identity_key_file else "",
    }
    return settings.model_copy(update={name: found for name, found in from_folder.items() if name not in overrides})


def is_path(model: str) -> bool:
    """Whether a journey or touch table is given by its path, not by a built-in name."""
    return model.endswith((".yaml", ".yml")) or "/" in model or os.sep in model


def _from_folder(folder: Path, model: str) -> str:
    return str(folder / model) if is_path(model) else model


def _overrides(environ: Mapping[str, str]) -> dict[str, str]:
    """The text of each setting that the environment gives; UserError on a variable that looks like one and is none."""
    overrides: dict[str, str] = {}
    mistakes: list[str] = []
    settings = {VARIABLE + name.upper(): name for name in Settings.model_fields}
    for variable, value in sorted(environ.items()):
        if not variable.startswith(VARIABLE) or variable in OTHER_VARIABLES or not value:
            continue
        if _SERVICE_LINK.fullmatch(variable) and (variable not in settings or value.startswith(("tcp://", "udp://"))):
            continue
        if variable in settings:
            overrides[settings[variable]] = value
        else:
            known = [name.removeprefix(VARIABLE) for name in (*settings, *OTHER_VARIABLES)]
            near = closest(variable.removeprefix(VARIABLE), known)
            hint = f"; did you mean '{VARIABLE}{near}'?" if near else ""
            mistakes.append(f"{variable}: there is no such setting{hint}")
    if mistakes:
        raise UserError("\n".join(mistakes))
    return overrides


def _variable(name: str, value: str) -> Document:
    """A text is taken as it is, anything else is read as YAML, which JSON is too."""
    source = Source(VARIABLE + name.upper(), value, lines=False)
    if isinstance(Settings.model_fields[name].default, str | SecretStr):
        return Document(Node(Mark(source, 1, 1), value))
    return parse(source)
