"""The bugs that can be planted, by name; each changes the real code for as long as it is planted.

    with planted("a_commit_in_doubt_is_tried_again"):
        ...
    JOURNEY_BUG=a_commit_in_doubt_is_tried_again python -m tests.harness.planted_bugs worker ...

They patch module functions and private methods, so they need the uncompiled sources (JOURNEY_PURE=1).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Literal

import pytest

from pipeline._compiled import PURE, compiled

Plant = Callable[[pytest.MonkeyPatch], None]
Layer = Literal["fold", "strands", "watermark", "model", "lane", "stitching", "erasing"]
"""Where the bug is; `model`: in how the lanes of the watermark's worlds use it, see `watermark.py`."""

_HOMES: Final = ("fold", "strands", "watermark", "lane", "stitching", "erasing")


@dataclass(frozen=True, slots=True)
class Mutant:
    """`means`: what is wrong, in a line. `seed`: a simulated world in which it was seen, for those in a hurry."""

    name: str
    layer: Layer
    means: str
    plant: Plant
    seed: int


_KNOWN: Final[dict[str, Mutant]] = {}


def mutant(layer: Layer, seed: int = 0) -> Callable[[Plant], Plant]:
    """Enters a function that plants a bug under the function's name."""

    def enter(plant: Plant) -> Plant:
        means = " ".join((plant.__doc__ or plant.__name__.replace("_", " ")).split())
        assert plant.__name__ not in _KNOWN, f"there are two bugs {plant.__name__}"
        _KNOWN[plant.__name__] = Mutant(plant.__name__, layer, means, plant, seed)
        return plant

    return enter


def mutants() -> dict[str, Mutant]:
    """All of them, by name."""
    for home in _HOMES:
        import_module(f"tests.mutants.{home}")
    return _KNOWN


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """The bug is there meanwhile; None plants nothing, KeyError if there is no such bug."""
    with pytest.MonkeyPatch.context() as patch:
        if name is not None:
            _plant(mutants()[name], patch)
        yield


def plant_for_good(name: str) -> None:
    """For a process that has the bug as long as it lives."""
    _plant(mutants()[name], pytest.MonkeyPatch())


def _plant(mutant: Mutant, patch: pytest.MonkeyPatch) -> None:
    if mutant.layer == "fold" and compiled():
        raise RuntimeError(f"{mutant.name} is in code that runs compiled: set {PURE}=1")
    mutant.plant(patch)
