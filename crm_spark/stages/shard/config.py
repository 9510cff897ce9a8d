"""Settings of the shard stage."""

from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config
from crm_spark.models.retrain import RetrainPolicy


class ShardConfig(Config):
    """Settings of the shard stage."""

    encoder: str = "auto"
    """Encoder and tokenizer. auto: `multilingual` if more than 20% of the labelled texts are not in English, else `embedded`.
    embedded: English, six layers. multilingual: a hundred languages, twelve layers, at about 0.4 of the speed. Or a folder
    with a BERT-family model, or a model name on the Hugging Face hub (downloaded once, unless HF_HUB_OFFLINE is set). Every
    node must have access to it. The choice is made when the shard set is written, see `retrain`."""
    max_length: Annotated[int, Field(ge=8, le=512)] = 128
    """Maximum number of tokens per row."""
    long_texts: Literal["head", "head_tail", "windows"] = "head"
    """Truncation of longer texts. head: the beginning; head_tail: a quarter from the beginning, the rest from the end;
    windows: up to eight consecutive rows, whose logits are averaged."""
    test_split: Literal["newest", "random"] = "newest"
    """newest: the newest 20% of the texts, which shows the quality on future texts; random: a random sample of customers.
    Without dates, or if most customers wrote recently, a random sample is used and logged."""
    rows_per_group: Annotated[int, Field(ge=8)] = 512
    """Maximum number of rows per row group."""
    max_world_size: Annotated[int, Field(ge=1, le=1024)] = 4
    """Largest number of ranks that can read the shard set evenly; 4 supports 1, 2 and 4 ranks."""
    min_examples: Annotated[int, Field(ge=12)] = 60
    """Smallest number of labelled texts for training."""
    label_check_texts: Annotated[int, Field(ge=0)] = 10_000
    """Number of training texts whose labels are checked by confident learning; 0: none."""
    unlabelled_texts: Annotated[int, Field(ge=0)] = 0
    """Number of sampled unlabelled texts for `train.consistency`; 0: none."""
    retrain: RetrainPolicy = RetrainPolicy()
    """When the shard set is written again and the text model is trained on it; until then both are kept, and a refresh
    scores new texts only. The examples are labelled texts, the loss is the cross-entropy in bits."""
