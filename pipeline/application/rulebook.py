"""The rules that lanes fold by, compiled: of the files of this process, and of texts that were promoted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from pipeline.domain.carry import Carry
from pipeline.domain.compile import Journey, compile_journey
from pipeline.domain.fold import Fold
from pipeline.domain.spec import JourneySpec, TouchSpec
from pipeline.domain.touches import TouchTable


@dataclass(frozen=True, slots=True)
class Model:
    """A journey as it was written, and compiled."""

    text: str
    journey: Journey


@dataclass(frozen=True, slots=True)
class Rules:
    """All that decides what an event does in a lane. `mark` says in short what that is, the program included."""

    models: Mapping[str, Model]
    table: TouchTable
    fold: Fold
    mark: str


class Rulebook:
    """Makes rules of journeys, for all lanes of a process.

    `files`: texts and specs of the settings' journeys. `read` makes a spec of a text, or raises UserError. `touches`
    gives the rows of the shared table and of these journeys, or raises UserError. `code`: the version of the program.
    """

    def __init__(
        self,
        files: Sequence[tuple[str, JourneySpec]],
        read: Callable[[str], JourneySpec],
        touches: Callable[[Sequence[JourneySpec]], tuple[TouchSpec, ...]],
        new_fold: Callable[[Sequence[Journey], frozenset[str], Mapping[str, Carry]], Fold],
        code: str,
    ) -> None:
        self._read = read
        self._touches = touches
        self._new_fold = new_fold
        self._code = code
        self._company = TouchTable(touches([spec for _, spec in files])).company
        self._models = {text: Model(text, compile_journey(spec, self._company)) for text, spec in files if text}
        made = [Model(text, compile_journey(spec, self._company)) for text, spec in files]
        self.files: Mapping[str, Model] = {model.journey.name: model for model in made}

    def model(self, text: str) -> Model:
        """The journey of a text; UserError if it is none, or brings touches that go with no other here."""
        found = self._models.get(text)
        if found is None:
            spec = self._read(text)
            others = [model.journey.spec for name, model in self.files.items() if name != spec.name]
            self._touches([*others, spec])
            company = self._company | {row.name for row in spec.touches if row.actor == "company"}
            found = self._models[text] = Model(text, compile_journey(spec, company))
        return found

    def rules(self, models: Mapping[str, Model], carries: Mapping[str, Carry]) -> Rules:
        """The rules of these journeys; `carries`: how customers come to them who are under another version."""
        journeys = [model.journey for model in models.values()]
        table = TouchTable(self._touches([journey.spec for journey in journeys]))
        fingerprints = "".join(journey.fingerprint for journey in journeys)
        mark = f"{self._code}+{blake2b(fingerprints.encode(), digest_size=6).hexdigest()}"
        return Rules(models, table, self._new_fold(journeys, table.company, carries), mark)
