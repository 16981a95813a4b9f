"""The application that each test of failures has for itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.dev.stack import Stack
from tests.harness.application import Application


@pytest.fixture
def app(stack: Stack, tmp_path: Path, prefix: str) -> Iterator[Application]:
    """An application of this test on the shared stack: nothing may be done to its servers."""
    with Application(stack, tmp_path, prefix) as application:
        yield application
