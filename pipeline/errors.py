"""Mistakes that a person can mend: shown as one message, never as a traceback."""


class UserError(Exception):
    """Says what happened, where, and what to do. The command line prints it on stderr and ends with `exit_code`."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class StackError(UserError):
    """The embedded Kafka or Redis could not be fetched, started or reached."""
