"""The checkers that are checked: each looks for a planted bug until it sees it, or has looked long enough."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, get_args

from hypothesis import Phase, given, settings

from pipeline.domain.erasing import Later
from tests.cases.reading import read_cases
from tests.chaos.run import Chaos, Plan
from tests.mutants.registry import Layer, mutants, planted
from tests.property.built_in import built_in
from tests.property.conftest import EXAMPLES
from tests.property.erasing_world import ErasingWorld
from tests.property.led_customer import targets
from tests.property.random_journeys import thrown
from tests.property.stitching_world import World as StitchingWorld
from tests.property.test_every_stage_and_touch import LIVES, lead
from tests.property.test_fold_agrees import test_both_folds_agree_after_every_step as folds_agree
from tests.property.test_fold_converges import test_every_arrival_gives_the_same as arrivals_agree
from tests.property.test_fold_strand_switches import undo_behind_switches
from tests.property.test_fold_strands import test_beyond_lateness_the_feed_keeps_its_promises as links_are_sound
from tests.property.test_fold_strands import test_within_lateness_a_link_is_as_if_all_had_always_been_one as links_agree
from tests.property.watermark_world import World
from tests.simulation.cases import Case
from tests.simulation.world import run
from tests.unit.test_cases import models, play

Catcher = Literal["cases", "property", "simulation", "chaos"]
Look = Callable[[], str]
"""Looks once; what is wrong, empty if nothing is."""

LOOKED_AT: Final[Mapping[Layer, tuple[Catcher, ...]]] = {
    "fold": ("cases", "property", "simulation", "chaos"),
    "strands": ("property",),
    "watermark": ("property", "simulation", "chaos"),
    "model": ("property",),
    "lane": ("simulation", "chaos"),
    "stitching": ("property",),
    "erasing": ("property",),
}
"""Who can see bugs of a layer, the quickest first."""

WORLDS: Final = 300
SEEDS: Final = 150
COLLECT: Final = 10


# The same examples at each run; the first failure is enough, and is not made small.
_QUICKLY: Final = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate]
)
_LIVES: Final = settings(_QUICKLY, max_examples=LIVES.max_examples, stateful_step_count=LIVES.stateful_step_count)
STRAND_TESTS: Final = [
    *(settings(_QUICKLY, max_examples=40)(test) for test in (links_agree, links_are_sound)),
    settings(_QUICKLY, max_examples=20)(given(thrown(320), thrown(600))(undo_behind_switches)),
]
FOLD_TESTS: Final = [_QUICKLY(test) for test in (folds_agree, arrivals_agree)]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a catcher saw of a bug: `what` is empty if it saw nothing in `tries` looks, which took `seconds`."""

    catcher: Catcher
    what: str
    tries: int
    seconds: float


def look(name: str | None, layer: Layer, catcher: Catcher, most_s: float, quick: bool = False) -> Sighting:
    """Looks for the bug `name` (None: there is none) until it is seen, for about `most_s` seconds at most.

    `quick`: first where it is known to be seen.
    """
    began = time.perf_counter()
    what, tries = "", 0
    _forget()  # a bug may be in what journeys are compiled to
    with planted(None if catcher == "chaos" else name):
        for each in LOOKS[catcher](name, layer, most_s, quick):
            what, tries = each(), tries + 1
            if what or time.perf_counter() - began > most_s:
                break
    _forget()
    return Sighting(catcher, what[:200], tries, round(time.perf_counter() - began, 2))


def _forget() -> None:
    models.cache_clear()
    built_in.cache_clear()


@dataclass(frozen=True, slots=True)
class Found:
    """A bug (None: none was planted) and who saw it."""

    name: str | None
    layer: Layer
    sightings: Sequence[Sighting]

    @property
    def right(self) -> bool:
        return any(each.what for each in self.sightings) == (self.name is not None)


def looked(
    name: str | None, layer: Layer, catchers: Sequence[Catcher], most_s: Mapping[Catcher, float], until_seen: bool
) -> Found:
    """One bug before each of these catchers; `until_seen`: no more of them once one has seen it."""
    sightings: list[Sighting] = []
    for catcher in catchers:
        sightings.append(look(name, layer, catcher, most_s[catcher], until_seen))
        if until_seen and sightings[-1].what:
            break
    return Found(name, layer, sightings)


def _cases(*_: object) -> Iterator[Look]:
    for file in read_cases():
        for case in file.cases:
            yield _failure(partial(play, case), f"case {case.name!r}")


def _property(_name: str | None, layer: Layer, *_: object) -> Iterator[Look]:
    if layer in {"watermark", "model"}:
        for seed in range(WORLDS):
            yield _failure(lambda seed=seed: World(seed).live(), f"world {seed}")  # type: ignore[misc]
        return
    if layer == "stitching":
        for seed in range(WORLDS):
            yield _failure(lambda seed=seed: StitchingWorld(seed).live(), f"world {seed}")  # type: ignore[misc]
        return
    if layer == "erasing":
        for seed, later, calm in product(range(WORLDS // 4), get_args(Later), (True, False)):
            where = f"{'calm' if calm else 'stormy'} world {seed}, {later}"
            yield _failure(partial(_live, seed, later, calm), where)
        return
    for test in STRAND_TESTS if layer == "strands" else FOLD_TESTS:
        yield _failure(test, test.__name__)
    if layer == "strands":
        return
    for journey, stage in targets():
        yield _failure(partial(lead, journey, stage, _LIVES), f"{journey} in {stage or 'start'}")


def _live(seed: int, later: Later, calm: bool) -> None:
    ErasingWorld(seed, later, calm).live()


def _simulation(name: str | None, _layer: Layer, _most_s: float, quick: bool) -> Iterator[Look]:
    def simulate(seed: int) -> str:
        if seed % COLLECT == 0:
            gc.collect()
        wrong = run(Case(seed)).wrong
        return f"seed {seed}: {wrong}" if wrong else ""

    if quick and name is not None:
        yield partial(simulate, mutants()[name].seed)
    for seed in range(SEEDS):
        yield partial(simulate, seed)


def _chaos(name: str | None, _layer: Layer, most_s: float, _quick: bool) -> Iterator[Look]:
    """Workers of their own have the bug, so nothing is planted here."""

    def hurt(seed: int) -> str:
        with TemporaryDirectory() as directory:
            wrong = Chaos(Plan(seed, most_s, bug=name or ""), Path(directory)).run().wrong
        found = [f"{kind}: {first}" for kind, (first, *_) in ((kind, each) for kind, each in wrong.items() if each)]
        return f"seed {seed}: {found[0]}" if found else ""

    yield _failure_of(partial(hurt, 1), "chaos")


LOOKS: Final[Mapping[Catcher, Callable[[str | None, Layer, float, bool], Iterator[Look]]]] = {
    "cases": _cases,
    "property": _property,
    "simulation": _simulation,
    "chaos": _chaos,
}


def _failure(act: Callable[[], object], where: str) -> Look:
    """Says what came out of it; a checker that stumbles over nonsense has seen it too."""

    def looked() -> str:
        act()
        return ""

    return _failure_of(looked, where)


def _failure_of(look_once: Look, where: str) -> Look:
    def looked() -> str:
        try:
            return look_once()
        except Exception as error:  # noqa: BLE001
            return f"{where}: {type(error).__name__} {str(error).partition(chr(10))[0]}"

    return looked
