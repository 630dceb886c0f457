"""What is said about a file that takes long."""

from restem.example_gen.slow import SECONDS, SlowFiles


def test_a_file_is_named_once_it_takes_long():
    now = [0.0]
    slow = SlowFiles(lambda: now[0])
    assert slow.sentence() is None
    slow.reading("cats/1.tif")
    now[0] = SECONDS - 1
    assert slow.sentence() is None
    now[0] = SECONDS
    assert slow.sentence() == "reading cats/1.tif takes long: 60 s so far"
    slow.reading("cats/2.tif")
    assert slow.sentence() is None
    now[0] *= 3
    assert slow.sentence() == "reading cats/2.tif takes long: 120 s so far"
    slow.reading("")
    assert slow.sentence() is None
