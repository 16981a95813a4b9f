"""What the tests of failures share. Each ends with the judge: all that was sent, through the plain fold, against all
that was published and stored.
"""

import subprocess

from tests.harness.application import Application
from tests.harness.reading import Message
from tests.harness.sending import Sent

MEND_S = 30.0
"""How long anything may take to come back by itself."""

STOP_S = 10.0
"""From SIGTERM to the end, whatever is going on."""


def order(app: Application, *words: str) -> subprocess.CompletedProcess[str]:
    """An order of a person to a lane; one that is given is in the ledger of what was sent."""
    done = app.command("lane", *words)
    if done.returncode == 0:
        app.sender.ledger.append(Sent("journey.commands", "", 0, None, None))
    return done


def refused(app: Application, *lines: str) -> None:
    """The worker ends at once with exit code 2, a message of these parts, and no traceback."""
    (app.directory / "refused.log").unlink(missing_ok=True)
    worker = app.worker("refused")
    assert worker.ended(MEND_S) == 2, worker.tail()
    told = worker.log_file.read_text()
    for line in lines:
        assert line in told
    assert "Traceback" not in told


def texts(message: Message) -> dict[str, str]:
    return {name: text.decode() for name, text in message.headers.items() if text is not None}
