"""Whether a lane's profiles can go on under the journeys of this process."""

from collections.abc import Mapping, Sequence

from pipeline.application.lane_record import ModelMark
from pipeline.domain.compile import Journey


def marks(journeys: Sequence[Journey]) -> dict[str, ModelMark]:
    """What a lane record says of the journeys that decided."""
    return {
        journey.name: ModelMark(
            journey.version, journey.fingerprint, journey.shape, list(journey.stages), sorted(journey.timers)
        )
        for journey in journeys
    }


def refuse(recorded: Mapping[str, ModelMark], live: Mapping[str, ModelMark]) -> str | None:
    """Why profiles folded under `recorded` cannot go on under `live`; None if they can.

    A new version may change rules, times and labels and add stages and timers. It may not drop a stage or a timer that
    customers can be in, nor change what is counted.
    """
    for name, old in recorded.items():
        new = live.get(name)
        if new is None or new.fingerprint == old.fingerprint:
            continue
        if new.version <= old.version:
            return (
                f"journey {name} has other rules than the version {old.version} that its customers are in, but is "
                f"version {new.version}: raise the version in its file"
            )
        gone = [stage for stage in old.stages if stage not in new.stages]
        gone += [timer for timer in old.timers if timer not in new.timers]
        if gone or new.shape != old.shape:
            what = f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} gone" if gone else "it counts other things"
            return (
                f"journey {name} version {new.version} cannot take over the customers of version {old.version}: "
                f"{what}; with the former file in place `journey promote` carries them over, and another app_id folds "
                "the input again"
            )
    return None
