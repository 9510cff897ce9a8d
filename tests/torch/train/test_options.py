"""LoRA, distillation, layer selection, masking, consistency loss."""

import numpy as np
import pytest
import torch
import torch.distributed as dist

from crm_spark.core.errors import ConfigError
from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.loop import logits_of, train
from crm_spark.stages.train.loss import Loss, Teacher
from crm_spark.stages.train.optimiser import add_lora
from crm_spark.stages.train.readers import Rows, concatenate, read_rows
from crm_spark.stages.train.shard_reader import ShardReader
from crm_spark.stages.train.worker import initial_model
from crm_spark.text.manifest import TRAIN, VALIDATION, read_manifest
from crm_spark.text.model import pretrained

CONFIG = {
    "num_epochs": 6,
    "patience": 6,
    "batch_rows": 16,
    "learning_rate": 5e-3,
    "head_learning_rate": 1e-2,
    "precision": "fp32",
    "reader": "direct",
}


@pytest.fixture(scope="module", autouse=True)
def group():
    """A process group with a single process."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def begun(encoder, **changes):
    torch.manual_seed(2)
    return pretrained(encoder, pooling="first"), TrainConfig(**{**CONFIG, **changes})


def trained(shards, model, cfg, out, *, manifest=None, teacher=None):
    """Train and return the history and the validation accuracy."""
    manifest = manifest or read_manifest(shards)
    validation = [read_rows(shards / file.name) for file in manifest.of(VALIDATION)]
    history = train(model, ShardReader(shards, manifest, cfg, 3, 0, 1), validation, out, teacher=teacher)
    rows = concatenate(validation)
    return history, (logits_of(model, rows, cfg).argmax(1) == rows.label)[rows.weight > 0].mean()


def test_lora_trains_adapters_only_and_merges_them(encoder, shards, tmp_path):
    model, cfg = begun(encoder, lora_rank=4, learning_rate=2e-2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    history, _ = trained(shards, model, cfg, tmp_path)
    after = model.state_dict()
    # With a random encoder little can be learned.
    assert after.keys() == before.keys() and sum(history.losses[-5:]) < sum(history.losses[:5])
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.weight", "head.bias"} | {
        f"encoder.encoder.layer.{layer}.attention.self.{part}.weight" for layer in (0, 1) for part in ("query", "value")
    }


def test_merged_lora_weights_give_the_same_logits(encoder):
    model, cfg = begun(encoder, lora_rank=2)
    merge = add_lora(model, cfg)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)  # adapters are initialised with zeros
    ids, mask = torch.randint(1000, 2000, (5, 9)), torch.ones(5, 9, dtype=torch.int64)
    plain = pretrained(encoder, pooling="first").eval()
    plain.head.load_state_dict(model.head.state_dict())
    with torch.inference_mode():
        beside = model.eval()(ids, mask)
    merge()
    with torch.inference_mode():
        merged, untouched = model(ids, mask), plain(ids, mask)
    assert torch.allclose(beside, merged, atol=1e-5) and not torch.allclose(beside, untouched, atol=1e-2)


def test_student_with_one_layer_learns_from_the_teacher(encoder, shards, tmp_path):
    model, cfg = begun(encoder)
    _, accuracy = trained(shards, model, cfg, tmp_path / "teacher")
    assert accuracy > 0.9
    cfg = TrainConfig(**CONFIG, num_layers=1, distillation=1.0)
    student = initial_model(str(encoder), cfg, model)
    assert len(model.layers) == 2
    assert len(student.layers) == 1 and student.encoder.config.num_hidden_layers == 1
    teacher = Teacher(model.eval())
    _, accuracy = trained(shards, student, cfg, tmp_path / "student", teacher=teacher)
    rows = concatenate([read_rows(shards / file.name) for file in read_manifest(shards).of(VALIDATION)])
    predicted = [logits_of(each, rows, cfg).argmax(1) for each in (model, student)]
    assert accuracy > 0.85 and (predicted[0] == predicted[1]).mean() > 0.9


def test_distillation_only_reproduces_the_errors_of_the_teacher(encoder, shards, tmp_path):
    """With distillation weight 1 the student follows the teacher even if its labels are wrong."""

    class Stubborn:
        def logits(self, rows):
            return torch.tensor([[0.0, 6.0, 0.0]]).expand(len(rows), 3)

    model, cfg = begun(encoder, distillation=1.0)
    trained(shards, model, cfg, tmp_path, teacher=Stubborn())
    rows = concatenate([read_rows(shards / file.name) for file in read_manifest(shards).of(VALIDATION)])
    assert set(logits_of(model, rows, cfg).argmax(1).tolist()) == {1}


@pytest.mark.parametrize("count", [1, 2])
def test_kept_layers_include_the_first_and_the_last(encoder, count):
    model, _ = begun(encoder)
    layers = list(model.layers)
    model.keep_layers(count)
    assert list(model.layers) == layers[:count]
    with pytest.raises(ConfigError, match=r"train\.num_layers: 3; the encoder has"):
        model.keep_layers(3)


def test_masked_tokens_are_inside_the_text_with_the_given_fraction():
    draw = np.random.default_rng(1)
    lengths = draw.integers(1, 41, 500).astype(np.int32)
    ids = np.where(np.arange(40) < lengths[:, None], draw.integers(1000, 2000, (500, 40)), 0).astype(np.int32)
    rows = Rows(ids, lengths, np.zeros(500, np.int32), np.ones(500, np.float32))
    hidden = rows.with_masked(0.2, 103, np.random.default_rng(5)).input_ids
    inner = (np.arange(40) > 0) & (np.arange(40) < lengths[:, None] - 1)
    assert ((hidden != ids) <= inner).all() and set(hidden[hidden != ids]) == {103}
    assert abs((hidden == 103).sum() / inner.sum() - 0.2) < 0.02
    assert (rows.with_masked(0.2, 103, np.random.default_rng(5)).input_ids == hidden).all()


def test_consistency_loss_aligns_predictions_with_masked_tokens(encoder, shards, tmp_path):
    """The training split serves as unlabelled texts; a missing unlabelled split is an error."""
    manifest = read_manifest(shards)
    others = [type(f)(**{**vars(f), "split": "unlabelled"}) for f in manifest.of(TRAIN)]
    with_others = type(manifest)(**{**vars(manifest), "files": (*manifest.files, *others)})
    model, cfg = begun(encoder, consistency=1.0)
    history, accuracy = trained(shards, model, cfg, tmp_path / "with", manifest=with_others)
    assert accuracy > 0.9 and len(history.losses) == 42
    rows = concatenate([read_rows(shards / file.name) for file in manifest.of(VALIDATION)])
    loss = Loss(cfg, torch.ones(3), 103, random=np.random.default_rng(4))
    # Like DDP, the wrapper has the model as `module`.
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    assert 0 <= float(loss.of_unlabelled(wrapped, rows)) < 0.3
    with pytest.raises(ValueError, match=r"Set shard\.unlabelled_texts"):
        trained(shards, *begun(encoder, consistency=1.0), tmp_path / "without")
