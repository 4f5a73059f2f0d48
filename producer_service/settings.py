"""Every knob of this service, read from the environment once, at the door. Nothing else reads the environment."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.events import EMAIL
from shared.logs import LogFormat

PREFIX = "TIDINGS_"
SECRETS_DIR = f"{PREFIX}SECRETS_DIR"

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Port = Annotated[int, Field(ge=0, le=65535)]


def _broker_url(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in {"amqp", "amqps", "memory"}:
        raise PydanticCustomError("broker", "must begin with amqp://, amqps:// or memory://")
    if any(name == "no_verify_ssl" for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise PydanticCustomError(
            "broker", "no_verify_ssl would accept any certificate; name a CA with cafile= instead"
        )
    return url


def _database_url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if not text.startswith(("postgresql://", "sqlite:///")) or text in {"sqlite:///", "sqlite:///:memory:"}:
        raise PydanticCustomError("database", "must be postgresql://... or sqlite:///path/to/file")
    return url


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError("time_zone", "is not in the tz database; write Europe/Berlin") from None
    return name


class DatabaseSettings(BaseSettings):
    """What a migration needs: no broker, and so no broker's password."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: Annotated[SecretStr, AfterValidator(_database_url)] = Field(
        description="postgresql://user:password@host/database, or sqlite:///path/to/file"
    )
    log_level: Annotated[Level, BeforeValidator(lambda text: str(text).upper())] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_format: LogFormat = Field(default="auto", description="json, console, or auto: console for a terminal")
    operator: str | None = Field(default=None, max_length=200, description="who acts, in the record of what was done")


class ScheduleSettings(DatabaseSettings):
    """What the schedules need, and what records messages without publishing them."""

    event_source: str = Field(
        default="/tidings/producer",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="the CloudEvents source of every message",
    )
    operator_mail: str | None = Field(
        default=None,
        max_length=254,
        pattern=EMAIL,
        description="where the daily digest of the outbox goes, if anywhere",
    )
    operator_time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(
        default="UTC", description="the operator's, by its name in the tz database"
    )


class Settings(ScheduleSettings):
    """What the API and the relay need."""

    broker_url: Annotated[SecretStr, AfterValidator(_broker_url)] = Field(
        description="amqp://user:password@host/vhost, or amqps://"
    )
    scheduler: bool = Field(default=True, description="whether the process that relays also keeps the schedules")
    relay_in_api: bool = Field(default=True, description="whether the API process also relays")
    relay_batch_size: int = Field(default=500, ge=1, le=5000, description="outbox rows claimed at once")
    outbox_retention_days: float = Field(default=7, ge=0, le=3650, description="how long published rows are kept")
    outbox_high_water: int = Field(
        default=0, ge=0, description="pending messages above which new work is refused with 503; 0 for no limit"
    )
    longest_delay_days: float = Field(
        default=366, gt=0, le=3650, description="how far ahead a message may be scheduled"
    )
    http_host: str = Field(default="127.0.0.1", description="the address to listen on")
    http_port: Port = Field(default=8000, description="the API's port")
    relay_http_port: Port = Field(default=8002, description="the port for health and metrics of a relay on its own")
    max_body_bytes: int = Field(default=64 * 1024, ge=1024, le=16 * 1024 * 1024, description="of one request")
    ingest_max_body_bytes: int = Field(
        default=8 * 1024 * 1024, ge=64 * 1024, le=64 * 1024 * 1024, description="of one batch of events"
    )
    idempotency_hours: float = Field(
        default=24, gt=0, le=24 * 365, description="how long the answer to an Idempotency-Key is given again"
    )
    password_hashes_at_once: int = Field(default=2, ge=1, le=64, description="each takes 64 MiB of memory")
    drain_seconds: float = Field(
        default=1, ge=0, le=600, description="how long to go on serving, unready, after SIGTERM, so that routers notice"
    )
    catalogue: bool = Field(default=True, description="whether to serve /catalogue and the documents it is made of")
    api_docs: bool = Field(default=False, description="whether to serve /docs")


class ApiSettings(Settings):
    """What the API needs, and a relay on its own need not hold."""

    link_secret: SecretStr = Field(
        min_length=32,
        description="what signs links and derives codes, the same as the consumer's: 32 characters or more",
    )
    mails_per_address_and_hour: int = Field(default=5, ge=1, le=1000, description="that anonymous requests may cause")
    sign_ins_per_address_and_hour: int = Field(default=10, ge=1, le=1000, description="tried from unknown devices")
    session_hours: float = Field(default=24, gt=0, le=24 * 365, description="how long a session lasts")


S = TypeVar("S", bound=DatabaseSettings)
ProcessSettings = TypeVar("ProcessSettings", bound=Settings)


def load_settings(kind: type[S]) -> S:
    """Read settings from `TIDINGS_...` variables, or from files of those names (in any case) in TIDINGS_SECRETS_DIR.

    On a problem prints one line per variable, never a value, and exits with code 2.
    """
    try:
        return kind(**_secrets())
    except ValidationError as error:
        _refuse([_line(kind, problem) for problem in error.errors(include_url=False, include_input=False)])


def load_standalone_settings(kind: type[ProcessSettings]) -> ProcessSettings:
    """Read the settings of a process that shares its broker with others. Refuses `memory://`, which cannot."""
    settings = load_settings(kind)
    if settings.broker_url.get_secret_value().startswith("memory:"):
        _refuse([f"{PREFIX}BROKER_URL is memory://, which lives in one process; no consumer would ever see a message"])
    return settings


def _secrets() -> dict[str, Any]:
    directory = os.environ.get(SECRETS_DIR)
    if not directory:
        return {}
    if not Path(directory).is_dir():
        _refuse([f"{SECRETS_DIR} is not a directory"])
    return {"_secrets_dir": directory}


def _line(kind: type[DatabaseSettings], problem: Any) -> str:
    field = str(problem["loc"][0])
    variable = f"{PREFIX}{field.upper()}"
    if problem["type"] == "missing":
        return f"{variable} is not set: {kind.model_fields[field].description}"
    return f"{variable}: {problem['msg']}"


def _refuse(lines: list[str]) -> NoReturn:
    sys.stderr.write("\n".join(lines) + "\n")
    raise SystemExit(2)
