"""One command line: every job is a command, with one grammar and one set of exit codes."""

import pytest

from crm_spark.cli.app import app, main, run
from crm_spark.pipeline import ON_REQUEST, STAGES

COMMANDS = {
    *STAGES,
    *ON_REQUEST,
    "refresh",
    "status",
    "maintain",
    "onboard",
    "preview",
    "export",
    "models",
    "explain",
    "review",
    "generate",
    "demo",
}


def test_every_stage_and_tool_is_a_command():
    assert {command.name for command in app.registered_commands} == COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_a_help_text(command, capsys):
    assert run(command, ["--help"]) == 0
    assert "Usage: crm-spark " + command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clean", "--as-of", "31.01.2025"], "expected a day such as 2026-01-31, got '31.01.2025'"),
        (["clean", "--no-such-option"], "No such option: --no-such-option"),
        (["no-such-command"], "No such command 'no-such-command'"),
        (["export", "--lake", "x"], "Missing option"),
        (["models", "--lake", "x", "--use", "v", "--rollback"], "--use and --rollback exclude each other"),
    ],
)
def test_invalid_arguments_give_one_message_and_exit_code_2(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_commands_start_without_spark():
    import subprocess
    import sys

    code = "import sys, crm_spark.cli.app; print([m for m in ('pyspark', 'torch') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("command", [["models"], ["explain", "--text", "good"]])
def test_a_lake_that_is_missing_or_has_a_former_layout_is_an_error(command, tmp_path, capsys):
    assert main([*command, "--lake", str(tmp_path / "none")]) == 2
    assert "there is no lake" in capsys.readouterr().err
    (tmp_path / "lake" / "files" / "bundles").mkdir(parents=True)
    assert main([*command, "--lake", str(tmp_path / "lake")]) == 2
    assert "this lake has layout 1" in capsys.readouterr().err


def test_a_lake_without_a_model_says_so(tmp_path, capsys):
    assert main(["models", "--lake", str(tmp_path)]) == 0
    assert "There is no model yet" in capsys.readouterr().out
