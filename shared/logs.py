"""One structured log line per outcome, from our code and from the libraries beneath, in one shape.

Correlation across services is part of the language they speak: `correlation_id` and `message_id` are bound once,
where a request or a delivery enters, and stand on every line written on its behalf.
"""

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.types import Processor

LogFormat = Literal["auto", "json", "console"]


def configure_logs(service: str, *, level: str = "INFO", shape: LogFormat = "auto") -> None:
    """Send every log line to stderr: JSON for machines, or aligned text when a person is watching (`auto`).

    A line below `level` costs next to nothing. Ours are written without a detour over the standard library's
    logging, which takes longer than most of what they report.
    """
    in_json = shape == "json" or (shape == "auto" and not sys.stderr.isatty())
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _service(service),
    ]
    last = _last(in_json=in_json)
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", Sink(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    _adopt_the_libraries(first, last, level)


class Sink:
    """A stream that loses what it cannot write, on a full disk say: no line is worth the work that it tells of."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if possible; never raises for want of room or of a reader."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write out what was written so far, if possible."""
        with suppress(OSError):
            self._stream.flush()


def _adopt_the_libraries(first: Sequence[Processor], last: Sequence[Processor], level: str) -> None:
    """Give the lines of libraries, which use the standard library's logging, the same shape."""
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=first, processors=[strip, *last]))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("aio_pika", "aiormq", "httpx2", "httpcore2", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy.startswith("aio") else logging.WARNING)


def _service(name: str) -> Processor:
    def add(_logger: Any, _method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
        line.setdefault("service", name)
        return line

    return add


def _last(*, in_json: bool) -> Sequence[Processor]:
    if in_json:
        return [structlog.processors.format_exc_info, _lead, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer()]


def _lead(_logger: Any, _method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """Put what a person looks for first at the beginning of the line."""
    first = {name: line[name] for name in ("timestamp", "level", "service", "event") if name in line}
    return {**first, **line}
