"""One tiny encoder and one shard set for all torch tests."""

import pytest
from support.tiny_bert import tiny_encoder, write_shards


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """Folder of a two-layer BERT."""
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def shards(tmp_path_factory, encoder):
    """4 row groups of 25 rows per split: 96 examples and 4 rows of padding."""
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, encoder, num_groups=4, group_rows=25, num_examples=96)
    return folder
