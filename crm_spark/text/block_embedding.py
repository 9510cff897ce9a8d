"""Word embeddings in 4-bit blocks: a quarter of the memory of fp32 without a further loss, and never trained."""

import torch
from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

BLOCK_SIZE = "embedding_block_size"
"""Key of `config.json`: values per block; missing for encoders with ordinary word embeddings."""


class BlockEmbedding(nn.Module):
    """Frozen embedding table: a value is its level, from -8 to 7, times the scale of its block.

    The 250,000 word pieces of a multilingual vocabulary are 82% of the weights of a small encoder. They are published in
    4-bit blocks, which this layer keeps: 108 MB instead of 384 MB in memory and in every model version, and no optimiser
    state. Few pieces occur in the texts of one company, so that training them would help little.
    """

    def __init__(self, num_embeddings: int, dimension: int, block_size: int):
        super().__init__()
        levels = torch.zeros(num_embeddings, dimension, dtype=torch.int8)
        # Parameters, not buffers: DDP would broadcast buffers in every step.
        self.levels = nn.Parameter(levels, requires_grad=False)  # (V, H)
        self.scales = nn.Parameter(torch.zeros(num_embeddings, dimension // block_size), requires_grad=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the embeddings (..., H) of token ids (...)."""
        scales = self.scales[tokens].unsqueeze(-1)  # (..., H / B, 1)
        levels = self.levels[tokens].to(scales.dtype)
        return (levels.unflatten(-1, (scales.shape[-2], -1)) * scales).flatten(-2)


def new_encoder(config: PretrainedConfig, *, attention: str) -> PreTrainedModel:
    """Return an encoder with the layers that its configuration describes, without trained weights."""
    block_size, num_embeddings = getattr(config, BLOCK_SIZE, None), config.vocab_size
    if block_size is not None:
        config.vocab_size = config.pad_token_id + 1  # do not initialise a large table that is replaced
    encoder = AutoModel.from_config(config, add_pooling_layer=False, attn_implementation=attention)
    if block_size is not None:
        encoder.config.vocab_size = num_embeddings
        encoder.set_input_embeddings(BlockEmbedding(num_embeddings, config.hidden_size, block_size))
    assert isinstance(encoder, PreTrainedModel)
    return encoder
