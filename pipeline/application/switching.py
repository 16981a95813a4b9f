"""How a lane goes from one version of a journey to another: prepared, decided on, and taken between two transactions.

    prepare    every lane compiles the text and says in its lane record whether it could run it
    switch     the one decision, written to all lanes in one transaction: each takes it where it reads it
    abandon    nothing comes of what was prepared

All three stand on `journey.commands` and have their effect in the transaction that reads them.
"""

from collections.abc import Mapping

import structlog

from pipeline.application.intake import Command
from pipeline.application.lane_models import KEPT, Candidate, LaneModels, Promoted, Switch
from pipeline.application.lane_record import CandidateMark, LaneRecord
from pipeline.application.models import marks
from pipeline.application.ports import Refused
from pipeline.application.rulebook import Model, Rulebook, Rules
from pipeline.domain.carry import Carry
from pipeline.domain.extremes import NEVER
from pipeline.errors import UserError

log = structlog.get_logger(__name__)


def obey(
    order: Command,
    lane: int,
    record: LaneRecord,
    models: LaneModels,
    rules: Rules,
    rulebook: Rulebook,
    positions: Mapping[str, int],
) -> None:
    """Changes `record` and `models` as ordered; Refused if a decision cannot be carried out here."""
    if order.command == "prepare":
        _prepare(order, lane, record, models, rules, rulebook)
        return
    candidate = models.candidate
    if candidate is None or candidate.id != order.id:
        log.warning("lane.order_of_no_effect", lane=lane, reason=order.command)
        return
    if order.command == "switch":
        _switch(candidate, lane, record, models, rules, rulebook, positions)
    models.candidate, record.candidate = None, None


def _prepare(
    order: Command, lane: int, record: LaneRecord, models: LaneModels, rules: Rules, rulebook: Rulebook
) -> None:
    candidate = Candidate(
        order.id,
        order.kind or "promote",
        order.journey,
        order.version,
        order.former,
        order.fingerprint,
        order.text,
        dict(order.stages),
        order.at if isinstance(order.at, int) else 0,
        order.reason,
    )
    why = _hindrance(candidate, record, models, rules, rulebook)
    models.candidate = candidate
    record.candidate = CandidateMark(candidate.id, candidate.journey, candidate.version, candidate.at, not why, why)
    known = candidate.journey if candidate.journey in rules.models else None  # anybody may have written the command
    log.info("lane.prepared", lane=lane, journey=known, version=candidate.version, ready=not why)


def _hindrance(candidate: Candidate, record: LaneRecord, models: LaneModels, rules: Rules, rulebook: Rulebook) -> str:
    """Why this lane could not run the candidate; empty if it could."""
    name = candidate.journey
    running = rules.models.get(name)
    if running is None:
        return f"it runs no journey {name}"
    version = running.journey.version
    if version != candidate.former:
        return f"it runs version {version}, not {candidate.former}"
    own = models.journeys.get(name)
    highest = version if own is None else own.highest
    if candidate.kind == "promote" and candidate.version <= highest:
        return f"version {candidate.version} is not above {highest}, which it has run"
    if record.carrying:
        return f"it still carries customers of {', '.join(record.carrying)} over"
    try:
        journey = rulebook.model(candidate.text).journey
    except UserError as error:
        return f"its owner refuses the file: {error.message.splitlines()[0]}"
    if journey.fingerprint != candidate.fingerprint:
        return "its owner makes other rules of the file: it runs another version of the program, or another touch table"
    return ""


def _switch(
    candidate: Candidate,
    lane: int,
    record: LaneRecord,
    models: LaneModels,
    rules: Rules,
    rulebook: Rulebook,
    positions: Mapping[str, int],
) -> None:
    name = candidate.journey
    running = rules.models.get(name)
    try:
        model = rulebook.model(candidate.text)
    except UserError as error:
        raise Refused(_unable(lane, name, candidate.version, error.message)) from None
    if running is None or model.journey.fingerprint != candidate.fingerprint:
        raise Refused(_unable(lane, name, candidate.version, "another touch table, or it is not in the settings"))
    own = models.journeys.get(name) or Promoted(
        running.journey.version, running.journey.fingerprint, running.text, running.journey.version
    )
    switch = Switch(
        candidate.id,
        candidate.kind,
        candidate.version,
        running.journey.version,
        running.text,
        candidate.stages,
        candidate.at,
        record.watermark,
        dict(positions),
        candidate.reason,
    )
    models.journeys[name] = Promoted(
        candidate.version,
        candidate.fingerprint,
        candidate.text,
        max(own.highest, candidate.version),
        [*own.switches, switch][-KEPT:],
    )
    record.models = {**record.models, **marks([model.journey])}
    record.carrying = {**record.carrying, name: candidate.version}
    log.info("lane.switched", lane=lane, journey=name, version=candidate.version, former=switch.former)


def _unable(lane: int, name: str, version: int, why: str) -> str:
    return f"lane {lane} runs version {version} of journey {name}, as was decided, and this worker cannot: {why}"


def rules_of(lane: int, models: LaneModels, record: LaneRecord, rulebook: Rulebook) -> Rules:
    """The rules that the lane runs: of what was promoted, else of the files. Refused if that cannot be had here.

    A file takes over from a promoted version if it is above all that the lane has run and asks for no carrying over.
    """
    chosen: dict[str, Model] = {}
    carries: dict[str, Carry] = {}
    for name, file in rulebook.files.items():
        own = models.journeys.get(name)
        if own is None or _takes_over(file, own, record):
            chosen[name] = file
            continue
        journey = file.journey
        if journey.version == own.version and journey.fingerprint != own.fingerprint:
            raise Refused(
                f"lane {lane}: journey {name} has other rules than the version {own.version} that was promoted: raise "
                "the version in its file"
            )
        chosen[name] = _promoted(lane, name, own.version, own.text, rulebook, own.fingerprint)
        if own.switches:
            last = own.switches[-1]
            former = _promoted(lane, name, last.former, last.text, rulebook)
            at = NEVER if last.watermark is None else last.watermark
            carries[name] = Carry(former.journey, chosen[name].journey, last.stages, last.at, at)
        if journey.version > own.version:
            log.warning("journey.not_promoted", lane=lane, journey=name, file=journey.version, runs=own.version)
    return rulebook.rules(chosen, carries)


def _takes_over(file: Model, own: Promoted, record: LaneRecord) -> bool:
    journey = file.journey
    return journey.version > own.highest and journey.spec.carry_over is None and not record.carrying


def _promoted(lane: int, name: str, version: int, text: str, rulebook: Rulebook, fingerprint: str = "") -> Model:
    try:
        model = rulebook.model(text)
    except UserError as error:
        raise Refused(_unable(lane, name, version, error.message)) from None
    if fingerprint and model.journey.fingerprint != fingerprint:
        raise Refused(_unable(lane, name, version, "its touch table is another than the one it was promoted with"))
    return model
