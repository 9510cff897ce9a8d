"""A signature fits one content under one key."""

import pytest

from crm_spark.core.errors import ArtifactError, ConfigError
from crm_spark.core.signing import KEY_FILE, digest, is_signed, require_signature, sign


@pytest.fixture
def key(tmp_path, monkeypatch):
    path = tmp_path / "key"
    path.write_bytes(b"k" * 32 + b"\n")
    monkeypatch.setenv(KEY_FILE, str(path))
    return path


def test_without_a_key_the_digest_is_plain_and_no_signature_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_FILE, raising=False)
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    sign(b"abc", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_the_signature_is_that_of_openssl(key):
    # printf abc | openssl dgst -sha256 -hmac kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
    assert digest(b"abc") == "af61b693912efc56e2e46f949719ea10a9e80d68f8dcfb84e26cac5330da3c74"


def test_signed_file_is_accepted_and_altered_file_is_rejected(tmp_path, key):
    path = tmp_path / "file"
    sign(b"abc", path)
    path.write_bytes(b"abc")
    require_signature(path)
    path.write_bytes(b"abd")
    with pytest.raises(ArtifactError, match="is not signed"):
        require_signature(path)
    path.write_bytes(b"abc")
    key.write_bytes(b"j" * 32)
    assert not is_signed(path)


@pytest.mark.parametrize("content", [None, b"short"])
def test_missing_or_short_key_is_reported(key, content):
    key.unlink()
    if content:
        key.write_bytes(content)
    with pytest.raises(ConfigError, match=KEY_FILE):
        digest(b"abc")
