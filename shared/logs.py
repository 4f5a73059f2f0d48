"""One structured log line per outcome, from our code and from the libraries beneath, in one shape.

Correlation across services is part of the language they speak: `correlation_id` and `message_id` are bound once,
where a request or a delivery enters, and stand on every line written on its behalf.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any, Literal

import structlog
from structlog.types import Processor

LogFormat = Literal["auto", "json", "console"]


def configure_logs(service: str, *, level: str = "INFO", shape: LogFormat = "auto") -> None:
    """Send every log line to stderr: JSON for machines, or aligned text when a person is watching (`auto`)."""
    in_json = shape == "json" or (shape == "auto" and not sys.stderr.isatty())
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _service(service),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=first, processors=_last(in_json=in_json))
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("aio_pika", "aiormq", "httpx2", "httpcore2", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy.startswith("aio") else logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *first,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _service(name: str) -> Processor:
    def add(_logger: Any, _method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
        line.setdefault("service", name)
        return line

    return add


def _last(*, in_json: bool) -> Sequence[Processor]:
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if in_json:
        return [strip, structlog.processors.format_exc_info, _lead, structlog.processors.JSONRenderer()]
    return [strip, structlog.dev.ConsoleRenderer()]


def _lead(_logger: Any, _method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """Put what a person looks for first at the beginning of the line."""
    first = {name: line[name] for name in ("timestamp", "level", "service", "event") if name in line}
    return {**first, **line}
