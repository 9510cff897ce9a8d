"""Word attributions by integrated gradients (Sundararajan et al. 2017) over the word embeddings."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crm_spark.models.registry import ModelVersion
from crm_spark.text.batches import padded
from crm_spark.text.labels import LABELS
from crm_spark.text.model import load_model
from crm_spark.text.tokenizer import MASK_TOKENS, tokenizer_of
from crm_spark.text.words import Span, joined, word_spans

_BASELINE_TOKENS = (*MASK_TOKENS, "[PAD]", "<pad>")
"""Token that replaces every word in the baseline: the first of these in the vocabulary."""
_MIN_STEPS, _MAX_STEPS = 8, 128
_TOLERANCE = 0.01
"""Tolerated completeness error, relative to the logit difference or 1, whichever is larger."""
_BATCH_TOKENS = 1_024


@dataclass(frozen=True)
class WordAttribution:
    """A word, its character span, and its attribution to the logit of the label."""

    word: str
    start: int
    end: int
    attribution: float


@dataclass(frozen=True)
class Explanation:
    """The predicted label of a text and the attribution of each word to it.

    Attributions are in logits, log p / (1 - p): `logit` is the sum of `hidden_logit` (all words masked), `rest` and the
    attributions of all words.

    Attributes:
        text: the part of the text that can reach the model.
        label: predicted label.
        probabilities: of all labels, in the order of LABELS.
        words: words that reached the model, in text order.
        num_words: number of words of the complete text.
        num_steps: number of integration steps.
    """

    text: str
    label: str
    probabilities: tuple[float, ...]
    logit: float
    hidden_logit: float
    words: tuple[WordAttribution, ...]
    rest: float
    num_words: int
    num_steps: int


@dataclass(frozen=True)
class _Path:
    """Integration path from the masked text to the text: R rows of at most T tokens in H dimensions."""

    tokens: Tensor
    """(R, T) int64."""
    mask: Tensor
    """(R, T) int64."""
    start: Tensor
    """(R, T, H)."""
    end: Tensor
    """(R, T, H)."""


class Explainer:
    """A loaded model that computes word attributions.

    Args:
        model_version: model to load.
        max_steps: upper limit of integration steps; starting from 8, they double until the completeness error is below 1%.
        threads: of PyTorch in this process; None: unchanged.
    """

    def __init__(self, model_version: ModelVersion, *, max_steps: int = _MAX_STEPS, threads: int | None = None):
        if threads is not None:
            torch.set_num_threads(threads)
        self.model, self.max_steps = load_model(model_version).requires_grad_(False), max_steps
        self.temperature = float(model_version.card["temperature"])
        self.decision = np.asarray(model_version.decision)
        self.tokens = tokenizer_of(model_version)
        ids = (self.tokens.tokenizer.token_to_id(name) for name in _BASELINE_TOKENS)
        self.baseline_id = next((token_id for token_id in ids if token_id is not None), 0)

    def explain(self, text: str) -> Explanation:
        """Return the predicted label of a text and the attribution of each word."""
        visible = self.tokens.reachable(text)
        encoding = self.tokens.tokenizer.encode(visible)
        rows = self.tokens.cut(list(range(len(encoding.ids))))  # positions of tokens
        path = self._path(
            [[encoding.ids[position] for position in row] for row in rows], encoding.special_tokens_mask, rows
        )
        with torch.no_grad():
            logits = self._logits(path, torch.stack([path.start, path.end])).double()  # (2, K)
        probabilities = torch.softmax(logits[1], 0).numpy()
        label = int((probabilities * self.decision).argmax())
        before, after = _logit_of(logits, label).tolist()
        attributions, steps = self._attributions(path, label, after - before)
        by_position: dict[int, float] = {}
        for row, line in zip(rows, attributions):
            for position, attribution in zip(row, line):
                by_position[position] = by_position.get(position, 0.0) + attribution
        spans = joined(visible, word_spans(visible), [Span(*offsets) for offsets in encoding.offsets])
        words = _word_attributions(visible, spans, encoding.offsets, encoding.special_tokens_mask, by_position)
        return Explanation(
            text=visible,
            label=LABELS[label],
            probabilities=tuple(probabilities.tolist()),
            logit=after,
            hidden_logit=before,
            words=words,
            rest=after - before - sum(word.attribution for word in words),
            num_words=len(spans) if len(visible) == len(text) else len(word_spans(text)),
            num_steps=steps,
        )

    def _path(self, ids: list[list[int]], is_special: list[int], rows: list[list[int]]) -> _Path:
        tokens, lengths = padded(ids)
        special, _ = padded([[is_special[position] for position in row] for row in rows])
        is_real = np.arange(tokens.shape[1]) < lengths[:, None]
        masked_tokens = np.where(is_real & (special == 0), self.baseline_id, tokens)
        embed = self.model.encoder.get_input_embeddings()
        token_ids, masked = (torch.from_numpy(x.astype(np.int64)) for x in (tokens, masked_tokens))
        return _Path(token_ids, torch.from_numpy(is_real.astype(np.int64)), embed(masked), embed(token_ids))

    def _logits(self, path: _Path, embedded: Tensor) -> Tensor:
        """Return logits (S, K), averaged over the rows of the text, at S points (S, R, T, H) of the path."""
        num, num_rows = embedded.shape[:2]
        with _override_output(self.model.encoder.get_input_embeddings(), embedded.flatten(0, 1)):
            logits = self.model(path.tokens.repeat(num, 1), path.mask.repeat(num, 1))  # (S * R, K)
        return logits.unflatten(0, (num, num_rows)).mean(1) / self.temperature

    def _attributions(self, path: _Path, label: int, difference: float) -> tuple[list[list[float]], int]:
        """Return token attributions (R, T) and the number of steps needed for their sum to match the logit difference."""
        steps = _MIN_STEPS
        while True:
            attributions = self._integrate(path, label, steps)
            rest = abs(difference - float(attributions.sum()))
            if rest <= _TOLERANCE * max(abs(difference), 1.0) or 2 * steps > self.max_steps:
                return attributions.tolist(), steps
            steps *= 2

    def _integrate(self, path: _Path, label: int, steps: int) -> Tensor:
        """Return the path integral of the gradient, (R, T), by Gauss-Legendre quadrature."""
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        points = torch.from_numpy(((nodes + 1) / 2).astype(np.float32))[:, None, None, None]
        scales = torch.from_numpy((weights / 2).astype(np.float32))[:, None, None, None]
        delta, total = path.end - path.start, torch.zeros_like(path.start)
        size = max(1, _BATCH_TOKENS // path.tokens.numel())
        for at, scale in zip(points.split(size), scales.split(size)):
            embedded = (path.start + at * delta).requires_grad_()
            score = _logit_of(self._logits(path, embedded), label).sum()
            (gradient,) = torch.autograd.grad(score, embedded)
            total += (gradient * scale).sum(0)
        return (total * delta).double().sum(-1)


def _logit_of(logits: Tensor, label: int) -> Tensor:
    """Return log(p / (1 - p)) of one label, (S,), from the logits of all labels, (S, K)."""
    others = [k for k in range(logits.shape[-1]) if k != label]
    return logits[:, label] - logits[:, others].logsumexp(-1)


@contextmanager
def _override_output(module: torch.nn.Module, output: Tensor) -> Iterator[None]:
    """Make the module return `output` whatever its input."""
    handle = module.register_forward_hook(lambda *_: output)
    try:
        yield
    finally:
        handle.remove()


def _word_attributions(
    text: str,
    spans: list[Span],
    offsets: list[tuple[int, int]],
    is_special: list[int],
    by_position: dict[int, float],
) -> tuple[WordAttribution, ...]:
    """Sum token attributions by word; words without any token are left out."""
    starts, sums = [span.start for span in spans], dict[int, float]()
    for position, (start, end) in enumerate(offsets):
        if is_special[position] or position not in by_position:
            continue
        word = bisect_right(starts, end - 1) - 1
        if word >= 0 and spans[word][1] > start:
            sums[word] = sums.get(word, 0.0) + by_position[position]
    return tuple(WordAttribution(text[slice(*spans[i])], *spans[i], total) for i, total in sorted(sums.items()))
