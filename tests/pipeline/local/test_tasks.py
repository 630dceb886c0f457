import numpy as np
from PIL import Image

from restem.pipeline.local.tasks import why_unreadable


def test_why_a_model_could_not_read_a_file(tmp_path):
    path = tmp_path / "x.png"
    path.write_text("words")
    assert "text, not an image" in why_unreadable(str(path), ValueError())
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50)).astype(np.uint8)).save(path)
    error = (
        "Graph execution error:\n\nassertion failed: [the configuration names 2 bands: ] [1]\n\t [[{{node Assert}}]]"
    )
    assert "names 2 bands" in why_unreadable(str(path), ValueError(error))
    path.write_bytes(path.read_bytes()[:500])
    assert "incomplete" in why_unreadable(str(path), ValueError("Graph execution error"))
    assert "cannot be read" in why_unreadable(str(tmp_path / "gone.png"), ValueError())
