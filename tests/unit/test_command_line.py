import json
import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

from pipeline import __version__
from pipeline.cli import main
from pipeline.errors import StackError, UserError

runner = CliRunner()


@pytest.mark.parametrize("name", sorted(main.COMMANDS))
def test_every_listed_command_is_there(name: str) -> None:
    module = import_module(main.COMMANDS[name].module)
    assert isinstance(getattr(module, "app", None), typer.Typer) or callable(getattr(module, name, None))
    assert runner.invoke(main.app, [name, "--help"]).exit_code == 0


def test_help_lists_every_command_and_imports_none() -> None:
    program = (
        "import sys, json; from typer.testing import CliRunner; from pipeline.cli import main;"
        "result = CliRunner().invoke(main.app, ['--help']); print(json.dumps([result.output, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    text, modules = json.loads(done.stdout)
    assert all(f"│ {name} " in text for name in main.COMMANDS)
    heavy = {"aiokafka", "asyncio", "faust", "msgspec", "pydantic", "redis", "structlog"}
    heavy |= {command.module for command in main.COMMANDS.values()}
    assert heavy.isdisjoint(modules)


def test_version() -> None:
    assert runner.invoke(main.app, ["--version"]).output == f"journey {__version__}\n"


def test_a_misspelt_command_is_answered_with_the_right_one() -> None:
    result = runner.invoke(main.app, ["dve"])
    assert result.exit_code == 2
    assert "Did you mean 'dev'?" in result.stderr


@pytest.mark.parametrize(
    ("error", "status"), [(UserError("no such lane"), 2), (UserError("busy", exit_code=3), 3), (StackError("taken"), 2)]
)
def test_a_mistake_is_one_line_on_stderr(
    error: UserError, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == status
    assert capsys.readouterr().err == f"journey: {error.message}\n"
