"""`crm-spark review`: compare uncertain pairs of records, and decide which are one person."""

import getpass
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crm_spark.cli.options import DEFAULT_CONF, Conf, Lake, Overrides, Overwrite
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.log import get_logger, number_of

if TYPE_CHECKING:
    from datetime import datetime

    from crm_spark.core.tables import TableStore
    from crm_spark.review.pairs import Pair
    from crm_spark.settings import Settings
    from crm_spark.stages.resolve.decision_files import Decision
    from crm_spark.stages.resolve.review import Estimate

_HELP = (
    "Compare pairs of records about which the linkage is uncertain, on a page of this machine with masked values, and decide which "
    "are one person. The next refresh applies the decisions."
)


@dataclass(frozen=True)
class _Arguments:
    lake: str
    conf: Path
    overrides: list[str]
    num: int
    is_sample: bool
    export: Path | None
    decided_by: str | None
    is_forced: bool


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("review", help=_HELP)(_review)


def _review(
    lake: Lake,
    conf: Conf = DEFAULT_CONF,
    num: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Number of pairs.")] = 100,
    sample: Annotated[
        bool,
        typer.Option(
            "--sample", help="Pairs drawn at random, from which the precision and recall of the links are estimated."
        ),
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the pairs to a CSV file to be filled in, instead of serving a page."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who decides; default: the name of the account.")
    ] = None,
    overrides: Overrides = None,
    force: Overwrite = False,
) -> None:
    arguments = _Arguments(lake, conf, overrides or [], num, sample, export, by or _account(), force)
    raise typer.Exit(exit_code_of(lambda: run(arguments)))


def _account() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        return None


def run(arguments: _Arguments) -> int:
    """Serve the page, or write the file.

    Raises:
        InputError: there is no review table yet.
        ConfigError: there is no file for the decisions, or the file to write exists.
    """
    from crm_spark.core.context import utc_now
    from crm_spark.core.session import build_session
    from crm_spark.core.tables import TableStore
    from crm_spark.core.uris import lake_root
    from crm_spark.migrations import require_supported_layout
    from crm_spark.settings import load_settings
    from crm_spark.stages.resolve.decisions import in_force

    settings = load_settings(arguments.conf, arguments.overrides)
    path, now = settings.resolve.decisions, utc_now()
    if arguments.export is None and path is None:
        raise ConfigError(
            "resolve.decisions: not set, so that no refresh would apply the decisions. Set it to a CSV file, such as ./decisions.csv, "
            "or give --export FILE."
        )
    if arguments.export is not None and arguments.export.exists() and not arguments.is_forced:
        raise ConfigError(f"{arguments.export}: exists already. Give another name, or --force to overwrite it.")
    spark = build_session(settings.session, app_name="crm_spark review")
    store = TableStore(spark, lake_root(arguments.lake))
    require_supported_layout(store)
    decisions = in_force(path, store, zone=settings.company.time_zone, now=now)
    pairs = _pairs(store, settings, arguments, decisions)
    if not pairs:
        print("No pairs to review: every one is decided, or the linkage is certain of all.")
    elif arguments.export is not None:
        _write(arguments.export, pairs, arguments.decided_by, now)
    else:
        assert path is not None
        _serve(pairs, path, arguments.decided_by)
        decisions = in_force(path, store, zone=settings.company.time_zone, now=utc_now())
    _print_quality(store, settings, decisions)
    return 0


def _pairs(
    store: "TableStore", settings: "Settings", arguments: _Arguments, decisions: "Sequence[Decision]"
) -> "list[Pair]":
    from crm_spark.contracts.gold import IDENTITY_REVIEW
    from crm_spark.review.pairs import random_pairs, uncertain_pairs

    if not store.exists(IDENTITY_REVIEW):
        raise InputError(
            f"{arguments.lake}: there is no {IDENTITY_REVIEW.name} yet. Run resolve or a refresh first; it writes the pairs to review."
        )
    if arguments.is_sample:
        return random_pairs(store, decisions, num=arguments.num, seed=settings.seed)
    return uncertain_pairs(store, decisions, num=arguments.num)


def _serve(pairs: "list[Pair]", path: str, decided_by: str | None) -> None:
    """Serve the page until it is closed."""
    from crm_spark.local_page.server import LocalServer
    from crm_spark.review.page import Review, ReviewPage
    from crm_spark.stages.resolve.decision_files import review_file

    review = Review(pairs, review_file(path), decided_by=decided_by)
    server = LocalServer(lambda access: ReviewPage(review, access))
    print(f"{number_of(len(pairs), 'pair')} to review.")
    print(f"Open this page in a browser on this machine; Ctrl-C ends it:  {server.page.address}", flush=True)
    server.serve()
    print(f"{number_of(review.num_decided, 'decision')} added to {review.file}.")


def _write(out: Path, pairs: "Sequence[Pair]", decided_by: str | None, now: "datetime") -> None:
    """Write the pairs to a file of decisions whose column `decision` is to be filled in."""
    from crm_spark.review.export import export_lines

    draft = out.with_name(f".{out.name}.draft")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8", newline="") as file:
            file.writelines(export_lines(pairs, decided_by=decided_by, decided_at=now))
        os.replace(draft, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}). Give another file with --export.") from None
    get_logger().info("wrote %s: %s", out, number_of(len(pairs), "pair"))
    print(
        f"Fill in the column decision of {out} with same or different, and set resolve.decisions to the file, or put it into the "
        "folder of the setting."
    )


def _print_quality(store: "TableStore", settings: "Settings", decisions: "Sequence[Decision]") -> None:
    """Print what labels of a random sample tell; nothing without labels."""
    from crm_spark.review.pairs import num_apart, num_links
    from crm_spark.stages.resolve.review import quality_from

    if quality_from(decisions) is None:
        return
    apart = num_apart(store, max_pairs=settings.resolve.review.max_pairs)
    quality = quality_from(decisions, num_links=num_links(store), num_apart=apart)
    assert quality is not None
    print(f"Precision of the links: {_percent(quality.precision)}")
    if quality.recall is not None:
        print(f"Recall among the compared pairs: {_percent(quality.recall)}")


def _percent(estimate: "Estimate") -> str:
    return (
        f"{100 * estimate.value:.1f} % (95 % interval {100 * estimate.low:.1f} to {100 * estimate.high:.1f} %, "
        f"{number_of(estimate.num_labels, 'label')})"
    )
