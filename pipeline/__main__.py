"""`python -m pipeline` is the `journey` command."""

from pipeline.cli.main import run

run()
