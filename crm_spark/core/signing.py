"""Signatures of models, shard sets and checkpoints.

A digest detects damage, but anyone can compute it. If `CRM_SPARK_SIGNING_KEY_FILE` names a file with a secret key, manifests
of shard sets, indexes of models and checkpoints carry an HMAC-SHA-256 (RFC 2104). Files without a valid signature are
rejected before any of their bytes are interpreted.
"""

import hashlib
import hmac
import os
from pathlib import Path

from crm_spark.core.errors import ArtifactError, ConfigError

KEY_FILE = "CRM_SPARK_SIGNING_KEY_FILE"
"""Environment variable of the driver with the path of the key file, which must be the same on every node."""
_MIN_BYTES = 32


def signing_key() -> bytes | None:
    """The key; None if no key is configured.

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
    if len(key) < _MIN_BYTES:
        raise ConfigError(f"{KEY_FILE}: {path} has {len(key)} bytes; a key needs at least {_MIN_BYTES}.")
    return key


def digest(content: bytes) -> str:
    """HMAC-SHA-256 (hex) with the key; SHA-256 without one."""
    key = signing_key()
    return hashlib.sha256(content).hexdigest() if key is None else hmac.new(key, content, hashlib.sha256).hexdigest()


def sign(content: bytes, target: Path) -> None:
    """Write the signature of `content` beside `target`, if there is a key."""
    if signing_key() is not None:
        _beside(target).write_text(digest(content))


def is_signed(path: Path) -> bool:
    """Whether the file's signature is valid; always true without a key."""
    if signing_key() is None:
        return True
    beside = _beside(path)
    return beside.exists() and hmac.compare_digest(beside.read_text().strip(), digest(path.read_bytes()))


def require_signature(path: Path) -> None:
    """Check the signature of a file, if there is a key.

    Raises:
        ArtifactError: the file was not signed with the key.
    """
    if not is_signed(path):
        raise ArtifactError(
            f"{path} is not signed with the key of {KEY_FILE} and was not opened. "
            "Run the stage that writes it again, or restore it."
        )


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.hmac")
