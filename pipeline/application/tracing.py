"""Going on with a sender's trace: what a lane asks for as it writes a batch out. See adapters/traces.py."""

from typing import Protocol

from pipeline.application.intake import Batch
from pipeline.application.stitch import Effects, Written, write_out

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"


class Traces(Protocol):
    """Of one lane; chosen as the lane is made, so that nothing asks for each event whether there are any."""

    def write_out(self, batch: Batch, effects: Effects) -> Written:
        """As `stitch.write_out`, with headers that name the trace where the event that is the cause had one."""

    def committed(self) -> None:
        """What was written out last can be read now; what is written out again without this was never sent."""


class NoTraces:
    """There are none: records leave without headers, and routed ones with those that they came with."""

    def write_out(self, batch: Batch, effects: Effects) -> Written:
        """As `stitch.write_out`."""
        del batch
        return write_out(effects)

    def committed(self) -> None:
        """Nothing to end."""
