"""What each word of a text adds to its verdict: integrated gradients (Sundararajan et al. 2017) over the word embeddings."""

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
from crm_spark.text.tokenise import tokens_of
from crm_spark.text.words import Span, word_spans

_HIDDEN = ("[MASK]", "<mask>", "[PAD]", "<pad>")
"""What stands in place of every word where nothing is known of the text: the first of these that the tokenizer has."""
_LEAST_STEPS, _MOST_STEPS = 8, 128
_TOLERANCE = 0.01
"""Of the difference that the words have to account for, or logits where that is small."""
_BATCH_TOKENS = 1_024


@dataclass(frozen=True)
class WordShare:
    """A word, where it stands, and what it adds to the logit of the verdict."""

    word: str
    start: int
    end: int
    share: float


@dataclass(frozen=True)
class Explanation:
    """A text's verdict and what each word adds to it.

    The shares are of the logit of the verdict's probability, log p / (1 - p): `hidden_logit` with every word hidden, and
    with `rest` and the shares of all words `logit`.

    Attributes:
        text: as it was read.
        label: the verdict given.
        probabilities: of all verdicts, in the order of LABELS.
        words: those that were read, in their order.
        num_words: of the whole text; a model reads only so much of a long one.
        num_steps: points of the path at which gradients were taken.
    """

    text: str
    label: str
    probabilities: tuple[float, ...]
    logit: float
    hidden_logit: float
    words: tuple[WordShare, ...]
    rest: float
    num_words: int
    num_steps: int


@dataclass(frozen=True)
class _Path:
    """From a text with every word hidden to the text: R rows of at most T tokens, embedded in H dimensions."""

    tokens: Tensor
    """(R, T) int64."""
    mask: Tensor
    """(R, T) int64."""
    start: Tensor
    """(R, T, H)."""
    end: Tensor
    """(R, T, H)."""


class Explainer:
    """A loaded model that explains what it says.

    Args:
        model: verified.
        most_steps: gradients are taken at 8 points of the path, then at twice as many until the shares add up to the
            difference within 1 %, at most at so many.
        threads: of PyTorch in this process; null: as it is.
    """

    def __init__(self, saved_model: ModelVersion, *, most_steps: int = _MOST_STEPS, threads: int | None = None):
        if threads is not None:
            torch.set_num_threads(threads)
        self.model, self.most_steps = load_model(saved_model).requires_grad_(False), most_steps
        self.temperature = float(saved_model.card["temperature"])
        self.decision = np.asarray(saved_model.decision)
        self.tokens = tokens_of(saved_model)
        ids = (self.tokens.tokenizer.token_to_id(name) for name in _HIDDEN)
        self.hidden = next((found for found in ids if found is not None), 0)

    def explain(self, text: str) -> Explanation:
        """The verdict on a text and the share of each of its words."""
        read = self.tokens.reachable(text)
        encoding = self.tokens.tokenizer.encode(read)
        rows = self.tokens.cut(list(range(len(encoding.ids))))  # places of tokens
        path = self._path([[encoding.ids[place] for place in row] for row in rows], encoding.special_tokens_mask, rows)
        with torch.no_grad():
            logits = self._logits(path, torch.stack([path.start, path.end])).double()  # (2, K)
        probabilities = torch.softmax(logits[1], 0).numpy()
        label = int((probabilities * self.decision).argmax())
        before, after = _logit_of(logits, label).tolist()
        shares, steps = self._shares(path, label, after - before)
        by_place: dict[int, float] = {}
        for row, line in zip(rows, shares):
            for place, share in zip(row, line):
                by_place[place] = by_place.get(place, 0.0) + share
        spans = word_spans(read)
        words = _words(read, spans, encoding.offsets, encoding.special_tokens_mask, by_place)
        return Explanation(
            text=read,
            label=LABELS[label],
            probabilities=tuple(probabilities.tolist()),
            logit=after,
            hidden_logit=before,
            words=words,
            rest=after - before - sum(word.share for word in words),
            num_words=len(spans) if len(read) == len(text) else len(word_spans(text)),
            num_steps=steps,
        )

    def _path(self, ids: list[list[int]], is_special: list[int], rows: list[list[int]]) -> _Path:
        tokens, lengths = padded(ids)
        kept, _ = padded([[is_special[place] for place in row] for row in rows])
        is_real = np.arange(tokens.shape[1]) < lengths[:, None]
        hidden = np.where(is_real & (kept == 0), self.hidden, tokens)
        embed = self.model.encoder.get_input_embeddings()
        placed, masked = (torch.from_numpy(x.astype(np.int64)) for x in (tokens, hidden))
        return _Path(placed, torch.from_numpy(is_real.astype(np.int64)), embed(masked), embed(placed))

    def _logits(self, path: _Path, embedded: Tensor) -> Tensor:
        """Logits (S, K), the mean over the text's rows, at S points (S, R, T, H) of its path."""
        num, num_rows = embedded.shape[:2]
        with _in_place_of(self.model.encoder.get_input_embeddings(), embedded.flatten(0, 1)):
            logits = self.model(path.tokens.repeat(num, 1), path.mask.repeat(num, 1))  # (S * R, K)
        return logits.unflatten(0, (num, num_rows)).mean(1) / self.temperature

    def _shares(self, path: _Path, label: int, wanted: float) -> tuple[list[list[float]], int]:
        """What each token adds, (R, T), at as few points as give the sum that is wanted."""
        steps = _LEAST_STEPS
        while True:
            shares = self._integrated(path, label, steps)
            rest = abs(wanted - float(shares.sum()))
            if rest <= _TOLERANCE * max(abs(wanted), 1.0) or 2 * steps > self.most_steps:
                return shares.tolist(), steps
            steps *= 2

    def _integrated(self, path: _Path, label: int, steps: int) -> Tensor:
        """The gradient's integral along the path times its length, (R, T): by Gauss and Legendre, which few points suffice."""
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        points = torch.from_numpy(((nodes + 1) / 2).astype(np.float32))[:, None, None, None]
        scales = torch.from_numpy((weights / 2).astype(np.float32))[:, None, None, None]
        way, total = path.end - path.start, torch.zeros_like(path.start)
        size = max(1, _BATCH_TOKENS // path.tokens.numel())
        for at, scale in zip(points.split(size), scales.split(size)):
            embedded = (path.start + at * way).requires_grad_()
            score = _logit_of(self._logits(path, embedded), label).sum()
            (gradient,) = torch.autograd.grad(score, embedded)
            total += (gradient * scale).sum(0)
        return (total * way).double().sum(-1)


def _logit_of(logits: Tensor, label: int) -> Tensor:
    """The log of p / (1 - p) of one verdict, (S,), from the logits of all, (S, K)."""
    others = [k for k in range(logits.shape[-1]) if k != label]
    return logits[:, label] - logits[:, others].logsumexp(-1)


@contextmanager
def _in_place_of(module: torch.nn.Module, output: Tensor) -> Iterator[None]:
    """The module gives `output`, whatever it is given."""
    handle = module.register_forward_hook(lambda *_: output)
    try:
        yield
    finally:
        handle.remove()


def _words(
    text: str,
    spans: list[Span],
    offsets: list[tuple[int, int]],
    is_special: list[int],
    by_place: dict[int, float],
) -> tuple[WordShare, ...]:
    """The shares of the tokens of each word added up; a word of which no token was read is not among them."""
    starts, found = [span.start for span in spans], dict[int, float]()
    for place, (start, end) in enumerate(offsets):
        if is_special[place] or place not in by_place:
            continue
        word = bisect_right(starts, end - 1) - 1
        if word >= 0 and spans[word][1] > start:
            found[word] = found.get(word, 0.0) + by_place[place]
    return tuple(WordShare(text[slice(*spans[i])], *spans[i], share) for i, share in sorted(found.items()))
