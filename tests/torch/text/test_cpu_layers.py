"""CPU attention and dropout compared with the standard layers."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModel

from crm_spark.text.cpu_layers import Dropout, optimise_for_cpu_training
from crm_spark.text.model import pretrained


@pytest.mark.parametrize("is_training", [True, False])
def test_states_and_gradients_equal_those_of_the_library_attention(encoder, is_training):
    ids, lengths = np.random.default_rng(1).integers(1000, 2000, (5, 12)), np.array([12, 1, 7, 7, 3])
    ours = pretrained(encoder)
    tokens, mask, _ = ours.collate(ids, lengths)
    usual = AutoModel.from_pretrained(encoder, add_pooling_layer=False, attn_implementation="eager")
    results = []
    for model in (ours.encoder, usual):
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        states = model.train(is_training)(input_ids=tokens, attention_mask=mask).last_hidden_state
        states[mask.bool()].square().sum().backward()
        results.append((states[mask.bool()], model.get_input_embeddings().weight.grad))
    assert torch.allclose(results[0][0], results[1][0], atol=1e-5)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-3)


@pytest.mark.parametrize(("p", "dtype"), [(0.1, torch.float32), (0.5, torch.bfloat16)])
def test_dropout_has_the_configured_rate_and_keeps_the_mean(p, dtype):
    torch.manual_seed(3)
    states = torch.ones(1001, 999, dtype=dtype, requires_grad=True)
    output = Dropout(p)(states)
    assert output.dtype == dtype and output.shape == states.shape
    assert float((output == 0).float().mean()) == pytest.approx(p, abs=0.002)
    assert output[output != 0].unique().tolist() == [pytest.approx(1 / (1 - p), rel=0.01)]
    output.float().sum().backward()
    assert torch.equal(states.grad, output.detach())
    neighbours = ((output == 0)[:, :-1] & (output == 0)[:, 1:]).float().mean()
    assert float(neighbours) == pytest.approx(p * p, abs=0.002)  # neighbouring values are independent


def test_dropout_depends_on_the_seed_only():
    drawn = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        drawn.append(Dropout(0.3)(torch.ones(64, 64)))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_dropout_is_inactive_in_evaluation():
    states = torch.ones(8, 8)
    assert torch.equal(Dropout(0.5).eval()(states), states) and torch.equal(Dropout(0.0)(states), states)


def test_encoder_dropouts_are_replaced_and_states_are_bf16_under_autocast(encoder):
    model = pretrained(encoder)
    optimise_for_cpu_training(model.encoder)
    assert {type(m) for m in model.encoder.modules() if isinstance(m, nn.Dropout)} == {Dropout}
    tokens = torch.tensor([[101, 2023, 102]])
    assert model.encoder(input_ids=tokens).last_hidden_state.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert model.encoder(input_ids=tokens).last_hidden_state.dtype == torch.bfloat16
