"""A sign of life that one thread leaves and another reads."""

import time


class Beat:
    """The last moment at which a loop was seen running; `at` is in monotonic seconds."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = time.monotonic()

    def touch(self) -> None:
        """Says that the loop runs now."""
        self.at = time.monotonic()
