"""A BERT of two layers with random weights, and shards of texts that a few words decide: seconds to train on."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from crm_spark.core.hashing import sha256_of
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import ShardFile, ShardManifest, write_manifest

WORDS = {
    "recommends": "wonderful perfect lovely excellent",
    "does_not_recommend": "broken awful refund useless",
    "no_clear_opinion": "average medium fine ordinary",
}


def tiny_encoder(folder: Path) -> Path:
    """Writes the model with the embedded encoder's tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=30_522, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    shutil.copyfile(encoder_dir("embedded") / "tokenizer.json", folder / "tokenizer.json")
    return folder


def text_of(number: int) -> tuple[str, str]:
    """Text and label of an example; every number another text."""
    draw = np.random.default_rng(number)
    label = LABELS[number % len(LABELS)]
    words = (
        draw.permutation(WORDS[label].split())[:2].tolist() + draw.permutation(["the", "shirt", "came", "on"]).tolist()
    )
    return " ".join([*draw.permutation(words).tolist(), f"n{number}"]), label


def write_shards(
    folder: Path, encoder: Path, *, num_groups: int, group_rows: int, num_examples: int, max_length: int = 16
) -> ShardManifest:
    """A shard set of three splits of the same size; rows beyond the examples are padding."""
    from crm_spark.stages.shard.row_groups import group_writer
    from crm_spark.stages.shard.token_rows import batch_tokeniser

    files, classes = [], {}
    for s, split in enumerate(("train", "validation", "test")):
        numbers = np.arange(num_examples) + s * num_examples
        rows = pd.DataFrame([text_of(int(n)) for n in numbers], columns=["text", "label"])
        rows["text_hash"], rows["split"], rows["source"] = [sha256_of(int(n)) for n in numbers], split, "made_up"
        rows["language"] = "en"
        classes[split] = rows["label"].value_counts().to_dict()
        read = batch_tokeniser(str(encoder), max_length=max_length, long_texts="head", seed=1)
        (batch,) = read(iter([pa.RecordBatch.from_pandas(rows)]))
        rows["input_ids"] = batch.column("input_ids").flatten().to_pylist()
        rows["weight"] = np.ones(num_examples, np.float32)
        rows["position"] = np.arange(num_examples)
        rows["group"] = rows["position"] % num_groups
        writer = group_writer(str(folder), max_length=max_length, group_rows={split: group_rows})
        for _, group in rows.groupby("group"):
            (entry,) = writer(pa.Table.from_pandas(group, preserve_index=False)).drop_columns("content").to_pylist()
            files.append(ShardFile(**entry))
    manifest = ShardManifest(
        files=tuple(files),
        max_length=max_length,
        max_world_size=num_groups,
        encoder=str(encoder),
        classes=classes,
        dropped={},
        inputs={"seed": 1},
    )
    write_manifest(manifest, folder)
    return manifest


def tiny_model_version(root: Path, encoder: Path, **card):
    """A sealed model of the tiny encoder below `root`, with a head of random weights that tells texts apart."""
    import json

    import torch
    from transformers import BertModel

    from crm_spark.models.registry import CARD, TOKENIZER, seal
    from crm_spark.text.model import TextClassifier, save_model

    draft = root / "draft"
    draft.mkdir(parents=True)
    torch.manual_seed(3)
    model = TextClassifier(BertModel.from_pretrained(encoder, add_pooling_layer=False))
    torch.nn.init.normal_(model.head.weight, std=3.0)
    save_model(model, draft)
    shutil.copyfile(encoder / TOKENIZER, draft / TOKENIZER)
    (draft / CARD).write_text(json.dumps({"temperature": 1.5, "max_length": 24, **card}))
    return seal(draft, root / "models")
