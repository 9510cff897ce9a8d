"""Word attributions: completeness, exactness, word positions."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.tiny_bert import tiny_model_version

from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.scorer import Scorer
from crm_spark.text.attributions import Explainer
from crm_spark.text.labels import LABELS

CLS, SEP, MASK = 101, 102, 103
TEXTS = [
    "The parcel came late and was broken.",
    "Lovely, lovely dress! It doesn't itch.",
    "fine",
    "unbelievablyoverengineered gadget",
    "word " * 200,
]


@pytest.fixture(scope="module")
def model_version(tmp_path_factory, encoder):
    return tiny_model_version(tmp_path_factory.mktemp("head"), encoder)


@pytest.fixture(scope="module")
def explainer(model_version):
    return Explainer(model_version)


@pytest.fixture(scope="module")
def windowed(tmp_path_factory, encoder):
    return Explainer(tiny_model_version(tmp_path_factory.mktemp("windows"), encoder, long_texts="windows"))


def logit(explanation):
    p = explanation.probabilities[LABELS.index(explanation.label)]
    return np.log(p / (1 - p))


def plainly(explainer, rows, label, steps=400):
    """Token attributions by the midpoint rule, row by row without padding."""
    model = explainer.model
    embed = model.encoder.get_input_embeddings()
    ends = [embed(torch.tensor(row)) for row in rows]
    starts = [embed(torch.tensor([i if i in (CLS, SEP) else MASK for i in row])) for row in rows]
    totals = [torch.zeros(len(row)) for row in rows]
    for k in range(steps):
        points = [(b + (k + 0.5) / steps * (x - b)).detach().requires_grad_() for b, x in zip(starts, ends)]
        states = [model.encoder(inputs_embeds=point[None]).last_hidden_state[0] for point in points]
        logits = torch.stack([model.head(state.mean(0)) for state in states]).mean(0) / explainer.temperature
        others = [i for i in range(len(LABELS)) if i != label]
        score = logits[label] - logits[others].logsumexp(0)
        for total, x, b, gradient in zip(totals, ends, starts, torch.autograd.grad(score, points)):
            total += ((x - b) * gradient).sum(-1).detach() / steps
    return [total.tolist() for total in totals]


@pytest.mark.parametrize("text", TEXTS, ids=["sentence", "repeats", "short", "pieces", "long"])
def test_attributions_sum_to_the_logit_difference(explainer, text):
    explanation = explainer.explain(text)
    changed = explanation.logit - explanation.hidden_logit
    assert abs(changed) > 0.02 and explanation.logit == pytest.approx(logit(explanation), abs=1e-6)
    assert sum(word.attribution for word in explanation.words) + explanation.rest == pytest.approx(changed, abs=1e-9)
    assert abs(explanation.rest) <= 0.01 * max(abs(changed), 1.0)


def test_hidden_logit_is_that_of_the_masked_text(explainer):
    explanation = explainer.explain("late parcel")
    tokens = torch.tensor([[CLS, MASK, MASK, SEP]])
    with torch.no_grad():
        logits = explainer.model(tokens, torch.ones_like(tokens))[0].double() / explainer.temperature
    p = torch.softmax(logits, 0)[LABELS.index(explanation.label)].item()
    assert explanation.hidden_logit == pytest.approx(np.log(p / (1 - p)), abs=1e-5)


def test_attributions_equal_a_riemann_sum(explainer):
    explanation = explainer.explain("late parcel")
    (row,) = plainly(explainer, [[CLS, 2397, 20463, SEP]], LABELS.index(explanation.label))
    assert explainer.tokens.tokenizer.encode("late parcel").ids == [CLS, 2397, 20463, SEP]
    assert [word.attribution for word in explanation.words] == pytest.approx(row[1:3], abs=2e-3)
    assert row[0] == row[3] == 0.0 and max(map(abs, row)) > 0.02


def test_windows_of_different_length_are_attributed_independently(windowed):
    text = " ".join(str(i % 10) for i in range(30))  # 22 tokens in the first window, 8 in the second
    explanation = windowed.explain(text)
    ids = windowed.tokens.tokenizer.encode(text).ids[1:-1]
    rows = plainly(windowed, [[CLS, *ids[:22], SEP], [CLS, *ids[22:], SEP]], LABELS.index(explanation.label))
    expected = [*rows[0][1:-1], *rows[1][1:-1]]
    assert len(explanation.words) == explanation.num_words == 30
    assert [word.attribution for word in explanation.words] == pytest.approx(expected, abs=2e-3)


class Counting(torch.nn.Module):
    """A model whose first logit is the sum of the token embeddings; the other two are 0."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(30_522, 1)
        self.encoder = SimpleNamespace(get_input_embeddings=lambda: self.embedding)

    def forward(self, tokens, mask):
        values = (self.embedding(tokens)[:, :, 0] * mask).sum(1)
        return torch.stack([values, values * 0, values * 0], 1)


class Cliff(Counting):
    """Like `Counting`, but the logit changes only on a short part of the path."""

    def __init__(self):
        super().__init__()
        torch.nn.init.zeros_(self.embedding.weight)
        self.embedding.weight.data[2204] = 1.0

    def forward(self, tokens, mask):
        return torch.tanh(20 * (super().forward(tokens, mask) - 0.37))


def test_attributions_of_an_additive_model_are_exact(model_version):
    explainer = Explainer(model_version)
    explainer.model, explainer.temperature = Counting().requires_grad_(False), 1.0
    table = explainer.model.embedding.weight
    table.zero_()
    table[MASK] = 0.25
    table[2204], table[6659], table[2397] = 2.0, 0.5, -0.75  # good, terrible, late
    explanation = explainer.explain("Good late GOOD terrible")
    assert explanation.label == "recommends"
    shares = [(word.word, round(word.attribution, 5)) for word in explanation.words]
    assert shares == [("Good", 1.75), ("late", -1.0), ("GOOD", 1.75), ("terrible", 0.25)]  # each less the mask's 0.25
    assert explanation.num_steps == 8 and explanation.logit == pytest.approx(
        3.75 - np.log(2)
    )  # the other two labels share the rest


def test_word_pieces_are_summed_by_word(explainer):
    text = "  unbelievablyoverengineered   gadget, isn't it"
    explanation = explainer.explain(text)
    assert len(explainer.tokens.tokenizer.encode(text).ids) > len(explanation.words) + 2
    assert [word.word for word in explanation.words] == ["unbelievablyoverengineered", "gadget", ",", "isn't", "it"]
    assert all(text[word.start : word.end] == word.word for word in explanation.words)


def test_label_equals_that_of_the_scorer(model_version, explainer):
    scorer = Scorer(model_version.folder, ScoreConfig(max_tokens=512, precision="fp32", engine="torch"))
    for text, shares in zip(TEXTS, scorer.probabilities(TEXTS)):
        explanation = explainer.explain(text)
        assert explanation.probabilities == pytest.approx(shares.tolist(), abs=1e-5)
        assert explanation.label == LABELS[int(shares.argmax())]


def test_explaining_does_not_change_the_model(explainer):
    first = explainer.explain(TEXTS[0])
    explainer.explain(TEXTS[1])
    assert explainer.explain(TEXTS[0]) == first


def test_too_few_steps_leave_a_reported_remainder(model_version):
    coarse, fine = Explainer(model_version, max_steps=8), Explainer(model_version)
    coarse.model = fine.model = Cliff().requires_grad_(False)
    with_few_steps, with_many_steps = coarse.explain("good"), fine.explain("good")
    assert with_few_steps.num_steps == 8 and with_many_steps.num_steps == 32
    assert (
        abs(with_few_steps.rest)
        > 0.1
        > 0.01 * (with_many_steps.logit - with_many_steps.hidden_logit)
        > abs(with_many_steps.rest)
    )


@pytest.mark.parametrize("text", ["", " \n ", "\u200b"])
def test_text_without_words_has_no_attributions(explainer, text):
    explanation = explainer.explain(text)
    assert sum(word.attribution for word in explanation.words) == pytest.approx(
        explanation.logit - explanation.hidden_logit, abs=0.01
    )
    assert [word.word for word in explanation.words] in ([], ["\u200b"])


def test_lone_surrogates_and_long_texts_are_explained(explainer):
    assert [word.word for word in explainer.explain("good \ud83d").words] == ["good", "?"]
    explanation = explainer.explain("a word " * 150_000)
    assert (len(explanation.words), explanation.num_words) == (22, 300_000)  # of 24 tokens two are special


def test_head_and_tail_words_have_correct_positions(tmp_path, encoder):
    explainer = Explainer(tiny_model_version(tmp_path, encoder, long_texts="head_tail"))
    text = " ".join(str(i) for i in range(10)) + " x" * 50 + " 0 1"
    explanation = explainer.explain(text)
    assert [word.word for word in explanation.words] == ["0", "1", "2", "3", "4", *["x"] * 15, "0", "1"]
    assert [text[word.start : word.end] for word in explanation.words] == [word.word for word in explanation.words]
