import io
from contextlib import suppress
from pathlib import Path

import pytest

from shared.logs import Sink


class FullStream(io.StringIO):
    """Takes nothing any more."""

    def write(self, _text):
        raise OSError(28, "No space left on device")

    def flush(self):
        raise BrokenPipeError


def test_what_can_be_written_is_written():
    stream = io.StringIO()

    Sink(stream).write("a line\n")

    assert stream.getvalue() == "a line\n"


def test_a_line_that_cannot_be_written_disturbs_nobody():
    sink = Sink(FullStream())

    assert sink.write("a line\n") == len("a line\n")
    sink.flush()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_device_without_room_disturbs_nobody_however_much_is_said():
    with suppress(OSError), Path("/dev/full").open("w", buffering=1) as stream:
        sink = Sink(stream)

        written = [sink.write("a line\n" * 100) for _ in range(1000)]

    assert written == [700] * 1000
