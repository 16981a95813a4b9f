"""One drill: a fault is caused, its alert awaited, the runbook followed, and the end of the alert awaited."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from pipeline.errors import UserError
from tests.drills.runbook import Command, Runbook, Said
from tests.drills.scene import Scene, scene
from tests.harness.waiting import until
from tests.harness.worker_process import WorkerProcess

PATIENCE_S: Final = 180.0
"""How long an alert may take to reach somebody, and to be taken back, with divided durations on a busy machine."""


StackProps = Callable[[Path], AbstractContextManager[Mapping[str, Any]]]


@contextmanager
def usual(_: Path) -> Iterator[Mapping[str, Any]]:
    yield {}


@dataclass(frozen=True, slots=True)
class Drill:
    """`name` as it is asked for, `what` happens, and the `alert` that must reach `receiver`.

    `stack` gives what the stack is made with, for as long as it runs, and `needs` why the drill cannot be held here.
    `begin` causes it, `mend` does what the runbook says of it: it gets `typed`, which types the runbook's command that
    begins with the given words. `seen_from`: the worker that an engineer looks at. `says`: regular expressions, each of
    which something that the runbook has one look at must say. `suppressed`: alerts that Alertmanager keeps to itself
    beside this one.
    """

    name: str
    what: str
    alert: str
    receiver: str
    begin: Callable[[Scene], None]
    mend: Callable[[Scene, "Typed"], None]
    says: tuple[str, ...] = ()
    suppressed: tuple[str, ...] = ()
    seen_from: Callable[[Scene], WorkerProcess] = lambda scene: scene.running[0]
    settings: Mapping[str, Any] = field(default_factory=dict)
    stack: StackProps = usual
    needs: Callable[[], str | None] = lambda: None


Typed = Callable[..., Said]


@dataclass(slots=True)
class Outcome:
    """What came of a drill; times in seconds. `beside`: other alerts of which people were told meanwhile."""

    drill: Drill
    to_alert: float | None = None
    to_clear: float | None = None
    beside: list[str] = field(default_factory=list)
    suppressed: list[str] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    failure: str = ""
    skipped: str = ""

    @property
    def right(self) -> bool:
        return not self.failure


@dataclass
class Course:
    """A drill under way. `tell` hears of every step."""

    drill: Drill
    scene: Scene
    outcome: Outcome
    tell: Callable[[str], None]
    patience_s: float = PATIENCE_S

    def run(self) -> None:
        drill, scene, outcome = self.drill, self.scene, self.outcome
        runbook = Runbook(drill.alert)
        self.tell(f"{drill.what} …")
        began = time.time()
        drill.begin(scene)
        outcome.to_alert = self._told("firing", began) - began
        self.tell(f"{drill.alert} reaches {drill.receiver} after {outcome.to_alert:.1f} s; following {drill.alert}.md")
        looks = [self._type(each, mended=False) for each in runbook.looks()]
        self._expect_words(looks)
        until(self._suppressed, lambda: f"suppressed: {drill.suppressed}; {scene.monitoring.active()}", self.patience_s)
        mending = time.time()
        drill.mend(scene, lambda beginning, **numbers: self._type(runbook.mends(beginning), mended=True, **numbers))
        outcome.to_clear = self._told("resolved", mending) - mending
        self.tell(f"{drill.alert} is taken back after {outcome.to_clear:.1f} s")
        scene.until_whole()
        for each in runbook.confirms():
            self._type(each, mended=True)
        told = {each.alert for each in scene.monitoring.told if each.status == "firing" and each.began >= began}
        outcome.beside = sorted(told - {drill.alert})
        loud = told & set(drill.suppressed)
        assert not loud, f"{drill.alert} says enough, and people were told of {_listed(loud)} all the same"

    def _told(self, status: str, since: float) -> float:
        """The moment when the receiver was told so."""
        drill, watch = self.drill, self.scene.monitoring

        def told() -> Any:
            if self.scene.traffic.failure is not None:
                raise self.scene.traffic.failure
            return watch.first_told(drill.alert, status, since)

        def missing() -> str:
            return (
                f"{drill.alert} is told as {status}. Prometheus holds for firing: {_listed(watch.firing())}; "
                f"Alertmanager has: {watch.active() or 'nothing'}"
            )

        found = until(told, missing, self.patience_s)
        assert found.receiver == drill.receiver, f"{drill.alert} went to {found.receiver}, not to {drill.receiver}"
        return float(found.at)

    def _suppressed(self) -> bool:
        active = self.scene.monitoring.active()
        self.outcome.suppressed = sorted(name for name, state in active.items() if state == "suppressed")
        return all(active.get(name) == "suppressed" for name in self.drill.suppressed)

    def _type(self, command: Command, *, mended: bool, **numbers: object) -> Said:
        worker = self.drill.seen_from(self.scene)
        said = self.scene.prompt.type(command.line, self.scene.address(worker), numbers)
        self.outcome.said.append(said)
        trouble = said.trouble(mended=mended, gone=not worker.page("/livez")[0])
        assert trouble is None, f"{self.drill.alert}.md, {command.section}: {trouble}"
        return said

    def _expect_words(self, looks: Sequence[Said]) -> None:
        said = "\n".join(each.text for each in looks)
        missing = [words for words in self.drill.says if not re.search(words, said)]
        assert not missing, f"nothing that {self.drill.alert}.md has one look at says {missing}:\n{said[-3_000:]}"


def perform(
    drills: Sequence[Drill],
    directory: Path,
    factor: float,
    tell: Callable[[str, str], None],
    done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Holds them one after the other, those with the same stack and settings on one pipeline, until one fails.

    `tell` hears the name of a drill and what happens in it, `done` how each ended. What goes wrong is in the outcomes;
    nothing is left running. Logs are in `directory`, by the first drill of a pipeline.
    """
    outcomes: list[Outcome] = []
    waiting = list(drills)
    while waiting:
        lead = waiting[0]
        if reason := lead.needs():
            outcomes.append(Outcome(waiting.pop(0), skipped=reason))
            continue
        alike = [each for each in waiting if (each.stack, each.settings) == (lead.stack, lead.settings)]
        began = time.monotonic()
        folder = directory / lead.name
        folder.mkdir(parents=True)
        outcome = Outcome(lead)
        try:
            with lead.stack(folder) as props, scene(folder, factor, lead.settings, props) as found:
                for drill in (each for each in alike if not each.needs()):
                    outcome = Outcome(drill)
                    name, began = drill.name, time.monotonic()
                    found.until_calm(drill.alert)
                    Course(drill, found, outcome, partial(_tell_since, tell, name, began)).run()
                    waiting.remove(drill)
                    outcomes.append(outcome)
                    done(outcome)
        except (AssertionError, UserError, OSError, RuntimeError) as failed:
            outcome.failure = str(failed)
            _tell_since(tell, outcome.drill.name, began, f"WRONG: {failed}\nlogs are in {folder}")
            if outcome.drill in waiting:
                waiting.remove(outcome.drill)
                outcomes.append(outcome)
                done(outcome)
    return sorted(outcomes, key=lambda each: drills.index(each.drill))


def _tell_since(tell: Callable[[str, str], None], name: str, began: float, what: str) -> None:
    tell(name, f"{time.monotonic() - began:6.1f} s  {what}")


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
