"""One customer as the tables have them, for people: the profile with labels, and its timers as time has them now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain, islice
from typing import Final

import msgspec

from pipeline.adapters.identity_kinds import refuse_other_key, typed_key
from pipeline.adapters.identity_seen import StrandView, strand_views
from pipeline.adapters.journey_files import running_files
from pipeline.adapters.kafka.sender import home_partition
from pipeline.adapters.redis.reader import TableReader
from pipeline.application.lane_models import KEY as MODELS
from pipeline.application.lane_models import LaneModels, decode_models
from pipeline.application.lane_record import LaneRecord, decode_lane
from pipeline.application.outlook import as_time_has_it
from pipeline.config import Settings
from pipeline.domain.compile import Journey, compile_journey
from pipeline.domain.encoding import decode, trail_of
from pipeline.domain.event import CHANNELS
from pipeline.domain.extremes import NEVER
from pipeline.domain.history import Entry
from pipeline.domain.identity import Key, public_key
from pipeline.domain.packing import Names
from pipeline.domain.profile import Event, Position, Profile
from pipeline.domain.remembered import recent_of
from pipeline.domain.spec import JourneySpec
from pipeline.domain.touches import TouchTable
from pipeline.errors import UserError

_LOOKED_THROUGH: Final = 50_000
"""Identities among which similar names are looked for."""

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TimerView:
    """A silence that runs: at `due` it moves the customer to the stage `to`, or fires the signal `rule`. Times ms."""

    rule: str
    since: int
    due: int
    to: str | None


@dataclass(frozen=True, slots=True)
class JourneyView:
    """Where the customer is in one journey. `history`: oldest first; what came long ago has lost its event."""

    name: str
    version: int
    stage: str
    since: int
    seq: int
    history: Sequence[Entry]
    timers: Sequence[TimerView]
    signals: Mapping[str, int]
    labels: Mapping[str, Labels]

    def label(self, stage: str, language: str) -> str:
        """The stage's label, else its id."""
        return self.labels.get(stage, {}).get(language, stage)


@dataclass(frozen=True, slots=True)
class CustomerView:
    """All that is known of one identity. `position`: how far the table is that this was read from; times ms.

    `strands`: the identities whose acts are counted here, its own first; none if all is at the owner whom it `joined`.
    `done_by`: the identity of each recent event that is another's. `first_seen` and `last_seen` may be NEVER.
    """

    customer: str
    lane: int
    position: str
    watermark: int | None
    epoch: int
    first_seen: int
    last_seen: int
    touches: Mapping[str, int]
    company_acts: int
    late: int
    unclassified: int
    truncated: int
    parked: str
    joined: str
    strands: Sequence[StrandView]
    done_by: Mapping[str, str]
    recent: Sequence[Event]
    journeys: Sequence[JourneyView]


@dataclass(frozen=True, slots=True)
class Stored:
    """A profile as it stands in the table of its lane, with the lane record that it was read with."""

    profile: Profile
    lane: int
    position: str
    record: LaneRecord | None
    models: LaneModels = field(default_factory=LaneModels)

    @property
    def watermark(self) -> int | None:
        return self.record.watermark if self.record else None


def find(settings: Settings, customer: str) -> CustomerView:
    """Whom people call so (see `typed_key`). Blocks; UserError if nobody is known by it, or Redis does not answer."""
    stored = find_stored(settings, customer)
    touches, files = running_files(settings, stored.models)
    company = TouchTable(touches).company
    specs = [journey.spec for journey in files.values()]
    return view(stored, {spec.name: (spec, compile_journey(spec, company)) for spec in specs})


def find_stored(settings: Settings, customer: str) -> Stored:
    """As `find`, but as it is stored."""
    key = typed_key(settings, customer)
    lane = home_partition(public_key(key).encode(), settings.partitions)
    with TableReader(settings.application, settings.redis_url) as reader:
        position, (data, record, models) = reader.profiles(lane, [key.encode(), b"@lane", MODELS])
    try:
        decoded = decode_lane(record) if record else None
        refuse_other_key(settings, decoded.identity_key if decoded else "")
        if data is None:
            raise unknown(settings, customer)
        profile = decode(data, Names(decoded.names if decoded else ()))
        promoted = decode_models(models)
    except msgspec.MsgspecError as error:
        raise UserError(f"{settings.table_key(lane)} {key}: cannot be read by this version: {error}", 1) from None
    return Stored(profile, lane, (position or b"").decode(errors="replace"), decoded, promoted)


def unknown(settings: Settings, customer: str) -> UserError:
    """Nobody is known by that, and who may be meant."""
    near = similar(settings, customer)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return UserError(f"nobody is known as {customer} to {settings.application}{hint}", 1)


def similar(settings: Settings, customer: str) -> list[str]:
    """Known public keys that look alike, the most alike first; looks through so many at most."""
    with TableReader(settings.application, settings.redis_url) as reader:
        fields = chain.from_iterable(reader.scan(lane) for lane in range(settings.partitions))
        known = [public_key(Key(field.decode())) for field, _ in islice(fields, _LOOKED_THROUGH)]
    folded = {name.casefold(): name for name in known}
    wanted = customer.casefold()
    digits = "".join(filter(str.isdigit, wanted)).lstrip("0")
    same_number = [name for name in known if digits and "".join(filter(str.isdigit, name)).lstrip("0") == digits]
    near = [folded[name] for name in get_close_matches(wanted, folded, n=3, cutoff=0.6)]
    return list(dict.fromkeys([*same_number[:3], *near]))[:3]


def view(stored: Stored, models: Mapping[str, tuple[JourneySpec, Journey]]) -> CustomerView:
    """What is stored, for people; `models` by name."""
    profile = stored.profile
    strands = profile.strands
    return CustomerView(
        customer=public_key(Key(profile.key)),
        lane=stored.lane,
        position=stored.position,
        watermark=stored.watermark,
        epoch=profile.epoch,
        first_seen=min((strand.first for strand in strands if strand.first != NEVER), default=NEVER),
        last_seen=newest_of(profile),
        touches={channel: sum(strand.touches[place] for strand in strands) for place, channel in enumerate(CHANNELS)},
        company_acts=sum(strand.company for strand in strands),
        late=sum(strand.late for strand in strands),
        unclassified=sum(strand.unclassified for strand in strands),
        truncated=sum(strand.truncated for strand in strands),
        parked=profile.parked,
        joined=public_key(Key(profile.to)) if profile.to else "",
        strands=strand_views(profile),
        done_by={
            event.id: public_key(Key(strand.identity))
            for strand in strands
            if strand.identity != profile.key
            for event in recent_of(strand)
        },
        recent=sorted((event for strand in strands for event in recent_of(strand)), key=lambda event: event.at),
        journeys=[_journey(each, models.get(each.journey), stored.watermark) for each in profile.positions],
    )


def newest_of(profile: Profile) -> int:
    """The largest event time in it, NEVER if there is none."""
    return max((strand.newest for strand in profile.strands), default=NEVER)


def _journey(position: Position, model: tuple[JourneySpec, Journey] | None, watermark: int | None) -> JourneyView:
    spec, journey = model or (None, None)
    return JourneyView(
        name=position.journey,
        version=position.version,
        stage=position.stage,
        since=position.since,
        seq=position.seq,
        history=[*trail_of(position), *position.history],
        timers=_timers(position, journey, watermark),
        signals=position.occurrences or {},
        labels={stage.id: dict(stage.labels) for stage in spec.stages} if spec else {},
    )


def _timers(position: Position, journey: Journey | None, watermark: int | None) -> list[TimerView]:
    """What still runs: the profile holds its timers as events left them, so what time did since is added here."""
    pending = position.track.pending
    if journey is None or not all(rule in journey.timers for _, rule, _ in pending):
        return [TimerView(rule, since, due, None) for due, rule, since in pending]
    _, running = as_time_has_it(journey, position.track, watermark)
    return [TimerView(rule, since, due, journey.timers[rule].to) for due, rule, since in running]
