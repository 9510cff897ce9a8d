"""Texts to token ids with the encoder's own tokenizer, many texts a call."""

from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

MAX_CHARACTERS = 20_000
"""More than this of a text cannot reach a model that reads 512 tokens; a megabyte is not tokenised to be thrown away."""


@cache
def load_tokenizer(folder: Path, max_length: int) -> Tokenizer:
    """The tokenizer in a folder, cutting at `max_length` tokens and padding nothing."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_length)
    return tokenizer


def token_ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """One list of ids for each text, special tokens included; never empty."""
    # Lone surrogates cannot be encoded; they become the replacement character.
    safe = [text[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8") for text in texts]
    return [encoding.ids for encoding in tokenizer.encode_batch(safe)]
