"""`crm-spark explain`: the predicted label of a text, and what each word adds to it. Runs without Spark."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_spark.cli.lake_folder import lake_folder
from crm_spark.cli.options import Lake
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.models.registry import ModelVersion, current_version, open_model
from crm_spark.text.labels import LABELS

if TYPE_CHECKING:
    from crm_spark.text.attributions import Explanation, WordAttribution

_MAX_WORDS = 40
_BAR_WIDTH = 24
_HELP = (
    "Explain the predicted label of texts: the attribution of each word, by integrated gradients. Texts are read as given: "
    "e-mail addresses and names are not redacted first, as they are in a refresh."
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain", help=_HELP)(_explain)


def _explain(
    lake: Lake,
    model: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Model version; default: the one in production.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="The text; default: standard input, read as one text.")] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file with one text per line; empty lines are skipped.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per text, with every word.")] = False,
) -> None:
    def work() -> int:
        with lake_folder(lake) as folder:
            return run(folder, version=model, text=text, file=file, as_json=as_json)

    raise typer.Exit(exit_code_of(work))


def run(lake: Path, *, version: str | None, text: str | None, file: Path | None, as_json: bool) -> int:
    """Explain the given texts.

    Raises:
        InputError: there is no such model, or no text.
        ArtifactError: a file of the model is missing or altered.
    """
    if text is not None and file is not None:
        raise ConfigError("--text and --file exclude each other: give one of them.")
    model = _model(lake, version)
    texts = [each for each in _texts(text, file) if each.strip()]
    if not texts:
        raise InputError("there is no text to explain. Give one with --text, --file or on standard input.")
    from crm_spark.text.attributions import Explainer

    explainer = Explainer(model)
    for each in texts:
        explanation = explainer.explain(each)
        print(
            json.dumps(_as_dict(explanation, model)) if as_json else "\n".join(_lines(explanation)) + "\n", flush=True
        )
    return 0


def _model(lake: Path, version: str | None) -> ModelVersion:
    from crm_spark.migrations import current_models_dir

    folder, version = current_models_dir(lake), version or current_version(lake / "files")
    if version is None:
        raise InputError(f"{folder}: no model is in production. Train one with a refresh, or name one with --model.")
    if not (folder / version).is_dir():
        raise InputError(f"{folder}: no model {version}. `crm-spark models` lists the versions.")
    return open_model(folder / version)


def _texts(text: str | None, file: Path | None) -> list[str]:
    if text is not None:
        return [text]
    if file is None:
        return [sys.stdin.buffer.read().decode("utf-8", "replace")]
    try:
        return file.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}). Give a file with one text per line.") from None


def _as_dict(explanation: "Explanation", model: ModelVersion) -> dict[str, Any]:
    return {
        "model_version": model.version,
        "label": explanation.label,
        "probabilities": dict(zip(LABELS, explanation.probabilities)),
        "logit": explanation.logit,
        "hidden_logit": explanation.hidden_logit,
        "words": [
            {"word": w.word, "start": w.start, "end": w.end, "attribution": w.attribution} for w in explanation.words
        ],
        "rest": explanation.rest,
        "num_words": explanation.num_words,
        "num_steps": explanation.num_steps,
    }


def _lines(explanation: "Explanation") -> Iterator[str]:
    shares = ", ".join(f"{_plain(label)} {p:.2f}" for label, p in zip(LABELS, explanation.probabilities))
    yield f"Predicted label: {_plain(explanation.label)} ({shares})"
    if explanation.label != LABELS[explanation.probabilities.index(max(explanation.probabilities))]:
        yield "This is not the most probable label: the model gives rare labels more weight."
    if len(explanation.words) < explanation.num_words:
        yield f"Only the first {len(explanation.words):,} of {explanation.num_words:,} words fit into the model."
    yield (
        f"Logit of the label: {explanation.hidden_logit:+.2f} with all words masked, {explanation.logit:+.2f} with them. "
        "Attribution of each word:"
    )
    yield ""
    strongest = _strongest(explanation.words)
    width = max((len(_printable(w.word)) for w in strongest), default=0)
    most = max((abs(w.attribution) for w in strongest), default=0.0) or 1.0
    for word in strongest:
        bar = ("+" if word.attribution > 0 else "-") * round(_BAR_WIDTH * abs(word.attribution) / most)
        yield f"  {_printable(word.word):<{width}}  {word.attribution:+.2f}  {bar}".rstrip()
    if others := [w.attribution for w in explanation.words if w not in strongest]:
        yield f"  {len(others)} weaker words in total {sum(others):+.2f}"
    yield f"  unexplained {explanation.rest:+.3f}"


def _strongest(words: "tuple[WordAttribution, ...]") -> "list[WordAttribution]":
    """The strongest words that fit on a screen, in the order of the text."""
    chosen = sorted(words, key=lambda word: -abs(word.attribution))[:_MAX_WORDS]
    return sorted(chosen, key=lambda word: word.start)


def _plain(label: str) -> str:
    return label.replace("_", " ")


def _printable(word: str) -> str:
    """The word without control characters, which could steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in word)
