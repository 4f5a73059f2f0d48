"""Every knob of the consumer service, read once at the door and frozen."""

import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, TypeVar
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.contracts import Lane

PREFIX = "TIDINGS_"
ACK_MARGIN_SECONDS = 60
"""RabbitMQ looks for overdue acks once a minute."""

PREFETCH = 250
"""Deliveries to hold where nothing else is said: so many that those which share a commit hardly notice its price."""

BULK_SHARE = 0.25
"""Of the concurrency, where nothing else is said: bulk goes on beside all else, and leaves it most of the worker."""

REPLAY_MARGIN_DAYS = 2
"""How long another copy of a message may be on its way when one of them is done: the longest retry ladder of our tasks
takes 17 h, and a backlog may take as long again."""

NEEDED_BY = {
    "mail": ("mail_url", "mail_from", "link_secret", "link_base_url"),
    "notification": ("webhook_url", "webhook_secret"),
}
"""Settings that only the tasks of a family need; a worker for other queues need not hold their secrets."""


class _Logged(BaseSettings):
    """What every command needs. Values that are or hold secrets never show in a representation or an error."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "json", "console"] = "auto"


class BrokerSettings(_Logged):
    """What the topology commands need: no database, and so no database's password."""

    broker_url: str = Field(repr=False)
    management_url: str | None = Field(default=None, repr=False)

    @field_validator("broker_url")
    @classmethod
    def _broker_can_be_trusted(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"amqp", "amqps", "memory"}:
            raise ValueError("the URL must start with amqp:// or amqps://")
        _insist_on_a_port(parts)
        if "no_verify_ssl" in parse_qs(parts.query, keep_blank_values=True):
            raise ValueError("no_verify_ssl would accept any certificate; trust the broker's CA with ?cafile= instead")
        return url

    @field_validator("management_url")
    @classmethod
    def _management_has_a_place(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://unset")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the URL must start with http:// or https://, as in http://127.0.0.1:15672")
        _insist_on_a_port(parts)
        return url


class DatabaseSettings(_Logged):
    """What a migration needs: no broker, and so no broker's password."""

    database_url: str = Field(repr=False)

    @field_validator("database_url")
    @classmethod
    def _database_is_supported(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme.partition("+")[0] not in {"postgresql", "sqlite"}:
            raise ValueError("the URL must start with postgresql:// or sqlite:///")
        if parts.scheme.startswith("sqlite") and parts.path in {"", "/", "/:memory:"}:
            raise ValueError("SQLite needs a file, as in sqlite:////var/lib/tidings.db")
        _insist_on_a_port(parts)
        return url


class Settings(DatabaseSettings, BrokerSettings):
    """Settings of one worker process."""

    apply_topology: bool = False
    concurrency: int = Field(default=8, ge=1, le=1000)
    bulk_concurrency: int | None = Field(default=None, ge=1, le=1000)
    prefetch: int | None = Field(default=None, ge=1, le=65535)
    ack_timeout_seconds: int = Field(default=1800, ge=120)
    drain_seconds: float = Field(default=30.0, ge=0)
    inbox_retention_days: int = Field(default=30, ge=1)
    dead_letter_replayable_days: int = Field(default=21, ge=1)
    operator: str | None = Field(default=None, max_length=255)
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8001, ge=0, le=65535)
    collector_http_port: int = Field(default=8003, ge=0, le=65535)

    mail_url: str | None = Field(default=None, repr=False)
    mail_from: str | None = None
    link_secret: SecretStr | None = Field(default=None, min_length=32)
    link_base_url: str | None = None
    webhook_url: str | None = Field(default=None, repr=False)
    webhook_secret: SecretStr | None = Field(default=None, min_length=16)

    @model_validator(mode="after")
    def _prefetch_feeds_every_worker(self) -> Self:
        if self.prefetch is not None and self.prefetch < self.concurrency:
            raise ValueError(f"{PREFIX}PREFETCH must be at least {PREFIX}CONCURRENCY, or workers will idle")
        return self

    @model_validator(mode="after")
    def _what_was_done_is_remembered_for_longer_than_it_can_be_replayed(self) -> Self:
        least = self.dead_letter_replayable_days + REPLAY_MARGIN_DAYS
        if self.inbox_retention_days < least:
            raise ValueError(
                f"{PREFIX}INBOX_RETENTION_DAYS must be at least {PREFIX}DEAD_LETTER_REPLAYABLE_DAYS + "
                f"{REPLAY_MARGIN_DAYS} = {least}, or a late replay would do again what was done"
            )
        return self

    @property
    def inbox_retention(self) -> timedelta:
        """How long it is remembered what was done."""
        return timedelta(days=self.inbox_retention_days)

    @property
    def replayable(self) -> timedelta:
        """How long after its death a dead letter can be replayed."""
        return timedelta(days=self.dead_letter_replayable_days)

    def concurrency_in(self, lane: Lane) -> int:
        """Return how many tasks of one queue may run at a time, by the queue's lane."""
        if lane is Lane.NORMAL:
            return self.concurrency
        return self.bulk_concurrency or max(1, int(self.concurrency * BULK_SHARE))

    def connections_for(self, lanes: Iterable[Lane]) -> int:
        """Return how many database connections a worker may need at once, so that nothing waits for one.

        `lanes` has one for each queue. One for each task that runs, two for each queue's admission and settlement, two
        for heartbeat and health.
        """
        return sum(self.concurrency_in(lane) + 2 for lane in lanes) + 2

    def prefetch_for(self, longest_task: timedelta, lane: Lane = Lane.NORMAL) -> int:
        """Return how many deliveries to hold, so that the last of them is acked before the broker's ack timeout.

        Raises ValueError, with the arithmetic, when the wished prefetch cannot meet it.
        """
        task_seconds, concurrency = longest_task.total_seconds(), self.concurrency_in(lane)
        rounds = int((self.ack_timeout_seconds - ACK_MARGIN_SECONDS) // task_seconds)
        given = self.prefetch and max(self.prefetch * concurrency // self.concurrency, concurrency)
        wished = given or max(4 * concurrency, PREFETCH)
        if self.prefetch is None:
            wished = max(min(wished, rounds * concurrency), concurrency)
        if ceil(wished / concurrency) > rounds:
            raise ValueError(
                f"{PREFIX}PREFETCH: {wished} deliveries, {concurrency} at a time, {task_seconds:g} s each, may "
                f"take {ceil(wished / concurrency) * task_seconds:g} s, and the broker takes them back after "
                f"{PREFIX}ACK_TIMEOUT_SECONDS={self.ack_timeout_seconds}; lower the one or raise the other"
            )
        return wished

    def missing_for(self, families: tuple[str, ...]) -> list[str]:
        """Return one line for each setting that these families need and that is not there."""
        return [
            f"{PREFIX}{name.upper()} is not set: the {family} queue needs it"
            for family in families
            for name in NEEDED_BY.get(family, ())
            if getattr(self, name) is None
        ]


S = TypeVar("S", bound=_Logged)


def load_settings(kind: type[S], **given: Any) -> S:
    """Read the environment, and `TIDINGS_SECRETS_DIR` for mounted secrets; what is given here goes before both.

    Exits with code 2, one line per mistake.
    """
    secrets = os.environ.get(f"{PREFIX}SECRETS_DIR") or None
    if secrets and not Path(secrets).is_dir():
        refuse([f"{PREFIX}SECRETS_DIR: there is no such directory"])
    try:
        return kind(_secrets_dir=secrets, **given)
    except ValidationError as error:
        refuse([_line(problem) for problem in error.errors(include_url=False, include_input=False)])


def refuse(lines: list[str]) -> NoReturn:
    """Say on stderr what is wrong, and exit with code 2."""
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.exit(2)


def _insist_on_a_port(parts: SplitResult) -> None:
    """Raise ValueError when the port is not a number between 0 and 65535; reading it is what checks it."""
    _ = parts.port


def _line(problem: Any) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return text
    name = f"{PREFIX}{str(problem['loc'][0]).upper()}"
    return f"{name} is not set" if problem["type"] == "missing" else f"{name}: {text}"
