"""Whether customers of one version of a journey can go on under another."""

from dataclasses import replace

import msgspec
import pytest

from pipeline.application.lane_record import ModelMark
from pipeline.application.models import marks, refuse
from pipeline.domain.compile import compile_journey
from pipeline.domain.spec import EntrySpec, JourneySpec, SilenceSpec, StageSpec
from tests.fakes.pipeline import HOUR, journey

OLD = ModelMark(3, "f3", "shape", ["seen", "bought"], ["cart_left", "lapsed"])


def changed(**fields: object) -> ModelMark:
    return msgspec.structs.replace(OLD, **fields)


TAKEN = {
    "the same": OLD,
    "the same rules under another number": changed(version=9),
    "the same rules under a lower number": changed(version=1),
    "other rules under a higher number": changed(version=4, fingerprint="f4"),
    "more stages and timers": changed(
        version=4, fingerprint="f4", stages=["seen", "keen", "bought"], timers=["cart_left", "lapsed", "more"]
    ),
    "stages in another order": changed(version=4, fingerprint="f4", stages=["bought", "seen"]),
}

REFUSED = {
    "other rules under the same number": (changed(fingerprint="f4"), "is version 3: raise the version in its file"),
    "other rules under a lower number": (changed(version=2, fingerprint="f4"), "raise the version in its file"),
    "a stage less": (changed(version=4, fingerprint="f4", stages=["seen"]), "bought is gone"),
    "a timer less": (changed(version=4, fingerprint="f4", timers=["lapsed"]), "cart_left is gone"),
    "both less": (
        changed(version=4, fingerprint="f4", stages=["seen"], timers=[]),
        "bought, cart_left, lapsed are gone",
    ),
    "it counts other things": (changed(version=4, fingerprint="f4", shape="other"), "it counts other things"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_customers_go_on(name: str) -> None:
    assert refuse({"shop": OLD}, {"shop": TAKEN[name]}) is None


@pytest.mark.parametrize("name", REFUSED)
def test_customers_cannot_go_on(name: str) -> None:
    new, why = REFUSED[name]
    said = refuse({"shop": OLD}, {"shop": new})
    assert said is not None
    assert said.startswith("journey shop ")
    assert why in said


def test_a_journey_that_comes_or_goes_is_nobodys_trouble() -> None:
    assert refuse({}, {"shop": OLD}) is None
    assert refuse({"shop": OLD}, {}) is None
    assert refuse({"shop": OLD, "club": OLD}, {"club": changed(fingerprint="f4"), "shop": OLD}) is not None


CHANGES: dict[str, tuple[JourneySpec, str | None]] = {
    "a label": (replace(journey(), stages=tuple(StageSpec(s.id, (("en", "x"),)) for s in journey().stages)), None),
    "a time": (
        replace(journey(2, "f2"), silences=tuple(replace(s, after_ms=s.after_ms + 1) for s in journey().silences)),
        None,
    ),
    "a touch in a rule": (
        replace(journey(2, "f2"), entries=(EntrySpec("seen", "seen", ("cart",), ("",), 1, None, ()),)),
        None,
    ),
    "a timer that is gone": (replace(journey(2, "f2"), silences=journey().silences[:1]), "cart_left is gone"),
    "a silence since another touch": (
        replace(
            journey(2, "f2"),
            silences=(*journey().silences, SilenceSpec("idle", None, HOUR, ("viewed",), None, (), HOUR, None)),
        ),
        "counts other things",
    ),
    "a count": (
        replace(
            journey(2, "f2"),
            entries=(*journey().entries, EntrySpec("again", "bought", ("ordered",), ("seen",), 2, HOUR, ())),
        ),
        "counts other things",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_remembered_of_a_journey_tells_whether_its_slots_still_fit(name: str) -> None:
    spec, why = CHANGES[name]
    recorded = marks([compile_journey(journey(), frozenset())])
    said = refuse(recorded, marks([compile_journey(spec, frozenset())]))
    assert (said is None) == (why is None)
    assert why is None or why in (said or "")


def test_marks_survive_the_lane_record() -> None:
    found = marks([compile_journey(journey(), frozenset())])
    assert msgspec.json.decode(msgspec.json.encode(found), type=dict[str, ModelMark]) == found
