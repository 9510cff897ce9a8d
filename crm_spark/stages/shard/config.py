"""What may vary in shard."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class ShardConfig(Config):
    """Settings of the shard stage."""

    encoder: str = "embedded"
    """The encoder whose tokenizer makes the tokens: `embedded`, or a folder with a BERT-family model."""
    max_length: Annotated[int, Field(ge=8, le=512)] = 128
    """Tokens kept of a text."""
    rows_per_group: Annotated[int, Field(ge=8)] = 512
    """Most rows in a row group."""
    max_world_size: Annotated[int, Field(ge=1, le=1024)] = 4
    """Ranks that may share a shard set evenly: 4 serves 1, 2 and 4."""
    min_examples: Annotated[int, Field(ge=12)] = 60
    """Below this many labelled texts nothing is trained."""
