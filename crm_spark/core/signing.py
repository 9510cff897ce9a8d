"""Signatures: with a key, only what its holders made is opened.

A digest says that nothing was torn, and anyone can compute it. Where `CRM_SPARK_SIGNING_KEY_FILE` names a file with a secret,
the manifest of a shard set, the index of a model and each checkpoint carry an HMAC-SHA-256 (RFC 2104) under it, and what
carries none, or another, is refused before a byte of it is interpreted.
"""

import hashlib
import hmac
import os
from pathlib import Path

from crm_spark.core.errors import ArtifactError, ConfigError

KEY_FILE = "CRM_SPARK_SIGNING_KEY_FILE"
"""In the environment of the driver: the file with the key. It must lie at the same path on every node."""
_LEAST_BYTES = 32


def signing_key() -> bytes | None:
    """The key; null where none is set.

    Raises:
        ConfigError: the file cannot be read or holds fewer than 32 bytes.
    """
    path = os.environ.get(KEY_FILE)
    if not path:
        return None
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{KEY_FILE}: {path} cannot be read ({error.strerror}).") from None
    if len(key) < _LEAST_BYTES:
        raise ConfigError(f"{KEY_FILE}: {path} holds {len(key)} bytes; a key has {_LEAST_BYTES} at least.")
    return key


def digest(content: bytes) -> str:
    """HMAC-SHA-256 (hex) under the key; SHA-256 where there is none."""
    key = signing_key()
    return hashlib.sha256(content).hexdigest() if key is None else hmac.new(key, content, hashlib.sha256).hexdigest()


def sign(content: bytes, target: Path) -> None:
    """Leaves the signature of what `target` is going to hold beside it; nothing where there is no key."""
    if signing_key() is not None:
        _beside(target).write_text(digest(content))


def is_signed(path: Path) -> bool:
    """Whether the file's signature fits; true of any where there is no key."""
    if signing_key() is None:
        return True
    beside = _beside(path)
    return beside.exists() and hmac.compare_digest(beside.read_text().strip(), digest(path.read_bytes()))


def require_signature(path: Path) -> None:
    """Passes a file that is signed, and any where there is no key.

    Raises:
        ArtifactError: there is a key, and the file was not signed with it.
    """
    if not is_signed(path):
        raise ArtifactError(
            f"{path} is not signed with the key of {KEY_FILE}; nothing of it is opened. "
            "Run the stage that makes it again, or restore it."
        )


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.hmac")
