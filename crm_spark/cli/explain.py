"""What `jobs/explain.py` does: the verdict on a text, and what each of its words adds to it. No Spark in it."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_spark.core.errors import InputError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.models.registry import ModelVersion, current_version, models_dir, open_model
from crm_spark.text.labels import LABELS

if TYPE_CHECKING:  # a mistake in the arguments is told before PyTorch is imported
    from crm_spark.text.attributions import Explanation, WordAttribution

_MOST_WORDS = 40
_BAR = 24


def main(argv: list[str] | None = None) -> int:
    """Explains the texts that are given.

    Returns:
        0 done, 1 a model that was altered, 2 no such model, or nothing to read.
    """
    parser = argparse.ArgumentParser(
        description="Says why a text is read as it is: the share of each word in its verdict, by integrated gradients. "
        "The text is read as it is given: e-mail addresses and names are not taken out first, as a refresh does."
    )
    parser.add_argument("--lake", required=True, help="folder of the lake")
    parser.add_argument("--model", metavar="VERSION", help="the model to read with; without: the one in use")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--text", help="the text; without --text and --file standard input is read as one text")
    given.add_argument("--file", type=Path, help="a file of texts, one a line; empty lines are passed over")
    parser.add_argument("--json", action="store_true", help="print one JSON object a text, with every word")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    model = _model(Path(arguments.lake) / "files", arguments.model)
    texts = [text for text in _texts(arguments) if text.strip()]
    if not texts:
        raise InputError(
            "there is nothing to read: the text is empty. Give one with --text, --file or on standard input."
        )
    from crm_spark.text.attributions import Explainer

    explainer = Explainer(model)
    for text in texts:
        found = explainer.explain(text)
        print(json.dumps(_as_dict(found, model)) if arguments.json else "\n".join(_lines(found)) + "\n", flush=True)
    return 0


def _model(files_root: Path, version: str | None) -> ModelVersion:
    model_dir, version = models_dir(files_root), version or current_version(files_root)
    if version is None:
        raise InputError(f"{model_dir}: no model is in use yet. Train one with a refresh, or name one with --model.")
    if not (model_dir / version).is_dir():
        raise InputError(f"{model_dir}: holds no model {version}. jobs/models.py lists those that are there.")
    return open_model(model_dir / version)


def _texts(arguments: argparse.Namespace) -> list[str]:
    if arguments.text is not None:
        return [arguments.text]
    if arguments.file is None:
        return [sys.stdin.buffer.read().decode("utf-8", "replace")]
    try:
        return arguments.file.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise InputError(
            f"{arguments.file}: cannot be read ({error.strerror}). Give a file of texts, one a line."
        ) from None


def _as_dict(found: "Explanation", model: ModelVersion) -> dict[str, Any]:
    return {
        "model_version": model.version,
        "label": found.label,
        "probabilities": dict(zip(LABELS, found.probabilities)),
        "logit": found.logit,
        "hidden_logit": found.hidden_logit,
        "words": [{"word": w.word, "start": w.start, "end": w.end, "share": w.attribution} for w in found.words],
        "rest": found.rest,
        "num_words": found.num_words,
        "num_steps": found.num_steps,
    }


def _lines(found: "Explanation") -> Iterator[str]:
    shares = ", ".join(f"{_plain(label)} {p:.2f}" for label, p in zip(LABELS, found.probabilities))
    yield f"Verdict: {_plain(found.label)} ({shares})"
    if found.label != LABELS[found.probabilities.index(max(found.probabilities))]:
        yield "It is not the likeliest one: this model weighs verdicts that are rare up."
    if len(found.words) < found.num_words:
        yield f"Only {len(found.words):,} of {found.num_words:,} words fit the model; the others were not read."
    yield (
        f"Logit of the verdict: {found.hidden_logit:+.2f} with every word hidden, {found.logit:+.2f} with them. "
        "What each word adds:"
    )
    yield ""
    shown = _strongest(found.words)
    width = max((len(_printable(w.word)) for w in shown), default=0)
    most = max((abs(w.attribution) for w in shown), default=0.0) or 1.0
    for word in shown:
        bar = ("+" if word.attribution > 0 else "-") * round(_BAR * abs(word.attribution) / most)
        yield f"  {_printable(word.word):<{width}}  {word.attribution:+.2f}  {bar}".rstrip()
    if others := [w.attribution for w in found.words if w not in shown]:
        yield f"  {len(others)} weaker words together {sum(others):+.2f}"
    yield f"  not accounted for {found.rest:+.3f}"


def _strongest(words: "tuple[WordAttribution, ...]") -> "list[WordAttribution]":
    """At most so many as fit a screen, in the order of the text."""
    chosen = sorted(words, key=lambda word: -abs(word.attribution))[:_MOST_WORDS]
    return sorted(chosen, key=lambda word: word.start)


def _plain(label: str) -> str:
    return label.replace("_", " ")


def _printable(word: str) -> str:
    """Nothing in a text may steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in word)
