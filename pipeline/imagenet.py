"""Whether Keras has ImageNet's weights on this machine, or can download them."""

import os
import threading
from http.client import HTTPException
from pathlib import Path

URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet"
ANSWER_SECONDS = 4.0


def weights_file(backbone: str) -> Path:
    """Where Keras keeps a backbone's weights."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    return home / "models" / f"{backbone.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"


def why_not_available(backbone: str) -> str:
    """Why the weights cannot be had; empty if they are here or can be downloaded."""
    file = weights_file(backbone)
    if file.is_file():
        return ""
    # In a thread: without a network, a DNS lookup may take half a minute.
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(_ask(f"{URL}/{file.name}")), daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    return answers[0] if answers else f"no answer in {ANSWER_SECONDS:g} seconds"


def _ask(url: str) -> str:
    """Why `url` cannot be downloaded; empty if it can."""
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, method="HEAD"), timeout=ANSWER_SECONDS):  # noqa: S310 - a fixed https address
            return ""
    except (OSError, ValueError, HTTPException) as error:  # ValueError: the proxy is not a valid address
        return str(getattr(error, "reason", None) or error) or type(error).__name__
