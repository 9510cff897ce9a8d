"""What may vary in shard."""

from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config


class ShardConfig(Config):
    """Settings of the shard stage."""

    encoder: str = "embedded"
    """The encoder whose tokenizer makes the tokens: `embedded`, a folder with a BERT-family model, or one's name on the
    Hugging Face hub (fetched once, unless HF_HUB_OFFLINE is set; every node must find it)."""
    max_length: Annotated[int, Field(ge=8, le=512)] = 128
    """TextTokenizer in a row."""
    long_texts: Literal["head", "head_tail", "windows"] = "head"
    """What is read of a longer text: its beginning; a quarter of the room its beginning and the rest its end; all of it,
    up to eight rows one after another, whose logits are averaged."""
    test_split: Literal["newest", "drawn"] = "newest"
    """The test split: the newest fifth of the texts, as the model will read what is yet to come, or drawn by customer.
    Where texts have no dates or nearly everybody wrote lately, it is drawn in any case, and that is said."""
    rows_per_group: Annotated[int, Field(ge=8)] = 512
    """Most rows in a row group."""
    max_world_size: Annotated[int, Field(ge=1, le=1024)] = 4
    """Ranks that may share a shard set evenly: 4 serves 1, 2 and 4."""
    min_examples: Annotated[int, Field(ge=12)] = 60
    """Below this many labelled texts nothing is trained."""
    label_check_texts: Annotated[int, Field(ge=0)] = 10_000
    """So many texts of the training split are read without their labels, to find labels that are doubtful; 0: none."""
    unlabelled_texts: Annotated[int, Field(ge=0)] = 0
    """Texts without a label that are written too, drawn, for `train.consistency`; 0: none."""
