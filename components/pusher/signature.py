"""Signs the manifest of a version, and checks the signature, with Sigstore's model-signing and a key pair.

The signature is that of the file manifest.json, which has the SHA-256 of all others. It is a Sigstore bundle: what the
command `model_signing verify key` of the same package accepts. The extra `sign` installs the package.
"""

import os
import tempfile
from pathlib import Path

from restem import files
from restem.errors import RestemError
from restem.installed import check_packages
from restem.model_files import MANIFEST, SIGNATURE

PASSWORD = "RESTEM_SIGN_PASSWORD"  # noqa: S105 - the name of an environment variable
SIGN, VERIFY = "push.sign.key", "push.verify_key"
INSTALL = "Install it: pip install 'restem[sign]'"
MAKE = "openssl ecparam -name prime256v1 -genkey -noout -out sign.pem; openssl ec -in sign.pem -pubout -out verify.pem"


def sign(manifest: bytes, key: str) -> bytes:
    """The signature of a manifest.

    Args:
      manifest: the content of manifest.json.
      key: the file of a private elliptic curve key (PEM); the environment variable RESTEM_SIGN_PASSWORD decrypts it.

    Raises:
      RestemError: the package is missing, or the key cannot be used.
    """
    check_packages(["model_signing"], where=SIGN, remedy=INSTALL)
    import model_signing

    _check_file(key, SIGN)
    password = os.environ.get(PASSWORD)
    with tempfile.TemporaryDirectory() as folder:
        file, signature = Path(folder, "manifest.json"), Path(folder, "signature")
        file.write_bytes(manifest)
        try:
            signer = model_signing.signing.Config().use_elliptic_key_signer(
                private_key=key,
                password=password.encode() if password else None,  # type: ignore[arg-type]  # cryptography takes bytes
            )
        except Exception as error:  # the libraries raise many types for unusable keys
            remedy = f"A key with a password needs it in {PASSWORD}. A new pair: {MAKE}"
            raise _unusable("sign", f"{SIGN} ({key})", "private", error, remedy) from None
        signer.sign(file, signature)
        return signature.read_bytes()


def check_key(key: str, where: str) -> None:
    """Refuses a public key that cannot be used, or a missing package.

    Raises:
      RestemError: what is wrong.
    """
    check_packages(["model_signing"], where=where, remedy=INSTALL)
    import model_signing

    _check_file(key, where)
    try:
        model_signing.verifying.Config().use_elliptic_key_verifier(public_key=key)
    except Exception as error:  # as in sign
        raise _unusable("check a signature", f"{where} ({key})", "public", error, f"A new pair: {MAKE}") from None


def _unusable(purpose: str, where: str, kind: str, error: Exception, remedy: str) -> RestemError:
    return RestemError(
        f"this key cannot {purpose}",
        where=where,
        expected=f"a {kind} elliptic curve key of the curves P-256, P-384 or P-521 in a PEM file",
        given=f"{type(error).__name__}: {error}".splitlines()[0],
        remedy=remedy,
    )


def check_signature(folder: str, key: str, *, where: str = VERIFY) -> None:
    """Refuses a version whose manifest is not signed by a key.

    Args:
      folder: of the version.
      key: the file of the public key (PEM).
      where: the setting or option that asks for it.

    Raises:
      RestemError: the package is missing, the key cannot be used, or the signature is missing or not of that key.
    """
    check_key(key, where)
    import model_signing

    problem = next((f"no {name}" for name in (MANIFEST, SIGNATURE) if not files.exists(f"{folder}/{name}")), None)
    if problem is None:
        with tempfile.TemporaryDirectory() as copies:
            file, signature = Path(copies, "manifest.json"), Path(copies, "signature")
            file.write_bytes(files.read(f"{folder}/{MANIFEST}"))
            signature.write_bytes(files.read(f"{folder}/{SIGNATURE}"))
            try:
                model_signing.verifying.Config().use_elliptic_key_verifier(public_key=key).verify(file, signature)
            except Exception as error:  # a damaged bundle raises many types
                problem = f"a signature of another key or content ({type(error).__name__})"
    if problem is not None:
        raise RestemError(
            "this version is not signed by the key that it must be signed by",
            where=folder,
            expected=f"{SIGNATURE}, a signature of {MANIFEST} that {where} ({key}) verifies",
            given=problem,
            remedy="Do not use this version before you know who changed it. Versions pushed without push.sign have no "
            "signature",
        )


def _check_file(key: str, where: str) -> None:
    if not Path(key).is_file():
        raise RestemError("there is no such key file", where=f"{where} ({key})", expected="a PEM file", remedy=MAKE)
