"""Signatures by Sigstore's model-signing, with a key pair."""

import shutil
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from restem.errors import RestemError
from restem.model_files import MANIFEST, SIGNATURE
from restem.pusher.manifest import refuse_changed
from restem.pusher.push import push
from restem.pusher.signature import PASSWORD, check_signature
from restem.pusher.versions import newest_if_same
from tests.damage import DATA, flip

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


@pytest.fixture
def keys(tmp_path):
    """keys(name, password): the files of a new private and public key."""

    def keys(name: str, password: str | None = None) -> tuple[str, str]:
        pair = ec.generate_private_key(ec.SECP256R1())
        encryption = (
            serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        )
        private, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.pub.pem"
        private.write_bytes(pair.private_bytes(PEM, PKCS8, encryption))
        public.write_bytes(pair.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        return str(private), str(public)

    return keys


def test_a_signed_version_is_believed_and_a_changed_or_foreign_one_is_not(keys, tiny_model, tmp_path):
    (private, public), (_, foreign) = keys("ours"), keys("theirs")
    serving = str(tmp_path / "serving")
    version = push(str(tiny_model), serving, sign_key=private)
    folder = Path(version.path)
    refuse_changed(version.path, public)
    assert newest_if_same(serving, str(tiny_model), signed=True) == version
    with pytest.raises(RestemError, match="not signed by the key"):
        refuse_changed(version.path, foreign)
    # Somebody who can write into the folder makes the manifest fit; the signature shows it.
    flip(folder / DATA)
    with pytest.raises(RestemError, match=f"{DATA} is changed"):
        refuse_changed(version.path, public)
    shutil.copy(Path(push(version.path, str(tmp_path / "other")).path) / MANIFEST, folder / MANIFEST)
    refuse_changed(version.path)
    with pytest.raises(RestemError, match="a signature of another key or content"):
        refuse_changed(version.path, public)
    (folder / SIGNATURE).write_text("{}")
    with pytest.raises(RestemError, match="a signature of another key or content"):
        refuse_changed(version.path, public)
    (folder / SIGNATURE).unlink()
    with pytest.raises(RestemError, match=f"no {SIGNATURE}"):
        refuse_changed(version.path, public)
    # An unchanged model is pushed once more when signing is switched on.
    assert newest_if_same(str(tmp_path / "other"), version.path, signed=True) is None
    assert newest_if_same(str(tmp_path / "other"), version.path) is not None


def test_the_password_of_a_key_is_in_the_environment(keys, tiny_model, tmp_path, monkeypatch):
    private, public = keys("ours", "secret")
    with pytest.raises(RestemError, match=r"this key cannot sign.*RESTEM_SIGN_PASSWORD"):
        push(str(tiny_model), str(tmp_path / "serving"), sign_key=private)
    assert not (tmp_path / "serving").exists()
    monkeypatch.setenv(PASSWORD, "secret")
    check_signature(push(str(tiny_model), str(tmp_path / "serving"), sign_key=private).path, public)


def test_a_key_that_cannot_be_used_is_one_sentence(keys, tiny_model, tmp_path, monkeypatch):
    private, public = keys("ours")
    with pytest.raises(RestemError, match="this key cannot sign"):
        push(str(tiny_model), str(tmp_path / "serving"), sign_key=public)
    with pytest.raises(RestemError, match="there is no such key file"):
        push(str(tiny_model), str(tmp_path / "serving"), sign_key=f"{private}x")
    with pytest.raises(RestemError, match="this key cannot check a signature"):
        check_signature(str(tmp_path), private)
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RestemError, match=r"model_signing is missing. Install it: pip install 'restem\[sign\]'"):
        check_signature(str(tmp_path), public)
