"""The `crm-spark` command: every job, with one grammar, one set of exit codes and one way to report errors.

Command modules import Spark and PyTorch inside their functions, so that a mistake in the arguments is reported at once.
"""

import sys
from collections.abc import Sequence

import typer

from crm_spark.cli import demo, explain, export, generate, maintain, models, onboard, preview, review, stages, status

app = typer.Typer(
    name="crm-spark",
    help="Customer intelligence on Spark. Exit codes: 0 done, 1 failed, 2 bad configuration or input, 3 data blocked by "
    "an expectation, 4 another run holds the lake.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain text: schedulers and tests read the messages
    pretty_exceptions_enable=False,
)
for module in (onboard, preview, stages, review, status, maintain, export, models, explain, generate, demo):
    module.add_to(app)


def run(command: str, arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        command: name of the command.
        arguments: its arguments; None: those of the process.

    Returns:
        The exit code, see `ExitCode`.
    """
    return main([command, *(sys.argv[1:] if arguments is None else arguments)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; None: the arguments of the process."""
    try:
        app(sys.argv[1:] if arguments is None else list(arguments), prog_name="crm-spark")
    except SystemExit as end:  # Typer ends the process after a command and after a usage error
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
