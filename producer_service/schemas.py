"""What comes in and goes out over HTTP. Messages about what is wrong never repeat what was sent."""

import re
import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from producer_service.outbox import Standing

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 128
LONGEST_EMAIL = 254
LOCALE = re.compile(r"[A-Za-z0-9-]+")
ENCODED = re.compile(r"=\?[^?]*\?[bq]\?|%0[0ad]", re.IGNORECASE)
"""An encoded word (RFC 2047), or a line break or NUL as in a URL: decoded by some software on the way, it may turn into
a line break and a header of the sender's choice."""

UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode's controls, halves of characters, and separators of lines and paragraphs."""

TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Controls that make text run backwards, and so look like another text."""


def what_is_no_line(value: str) -> str | None:
    """Say what is wrong with a value that may stand in a header of a mail; None when nothing is."""
    if any(unicodedata.category(character) in UNPRINTABLE for character in value) or TURNING.search(value):
        return "must be one line without control characters"
    if ENCODED.search(value):
        return "must not hold an encoded word (RFC 2047) or an encoded line break"
    return None


def _email(value: str) -> str:
    try:
        address = validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError:
        raise PydanticCustomError("email", "must be an e-mail address, as in ann@example.org") from None
    if len(address) > LONGEST_EMAIL:
        raise PydanticCustomError("email", "must have at most 254 characters")
    if ENCODED.search(address):
        raise PydanticCustomError("email", "must not hold an encoded word (RFC 2047) or an encoded line break")
    return address


def _line(value: str) -> str:
    if wrong := what_is_no_line(value):
        raise PydanticCustomError("line", "{wrong}", {"wrong": wrong})
    return value


def _locale(value: str) -> str:
    if not LOCALE.fullmatch(value):
        raise PydanticCustomError("locale", "must be a language tag, as in en or zh-CN")
    return value


def is_whole(text: str) -> bool:
    """Tell whether a text can be written in UTF-8: it holds no half of a character."""
    return not any(unicodedata.category(character) == "Cs" for character in text)


def _password(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not SHORTEST_PASSWORD <= len(text) <= LONGEST_PASSWORD:
        raise PydanticCustomError("password", "must have 8 to 128 characters")
    if not is_whole(text):
        raise PydanticCustomError("password", "must not hold half a character (a lone surrogate)")
    return value


Email = Annotated[str, AfterValidator(_email), Field(json_schema_extra={"format": "email", "maxLength": LONGEST_EMAIL})]
Line = Annotated[str, Field(max_length=200), AfterValidator(_line)]
Locale = Annotated[
    str,
    Field(max_length=35, json_schema_extra={"pattern": f"^{LOCALE.pattern}$"}),
    AfterValidator(_locale),
]
Password = Annotated[
    SecretStr,
    AfterValidator(_password),
    Field(json_schema_extra={"minLength": SHORTEST_PASSWORD, "maxLength": LONGEST_PASSWORD}),
]


class Registration(BaseModel):
    """A wish for an account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: Email
    password: Password
    name: Line = ""
    locale: Locale = "en"


class Accepted(BaseModel):
    """The wish is committed. The same for an address that was known already."""

    status: Literal["accepted"] = "accepted"
    event_id: str


FOLLOWED: dict[int | str, dict[str, Any]] = {
    202: {
        "links": {
            "status": {
                "operationId": "event",
                "parameters": {"event_id": "$response.body#/event_id"},
                "description": "How far the message has come.",
            }
        }
    }
}
"""How the OpenAPI document says what to do with an `event_id`."""


class EventStatus(BaseModel):
    """How far a message has come on its way to the broker. Says nothing about what the message is."""

    id: str
    status: Literal["pending", "delayed", "published", "parked", "cancelled"]
    attempts: int
    last_error: str | None = Field(description="The kind of the last failure; its details are for operators.")
    recorded_at: datetime
    published_at: datetime | None
    parked_reason: str | None
    deliver_at: datetime | None = Field(description="The moment for which it was scheduled, if it was.")
    cancelled_at: datetime | None

    @classmethod
    def of(cls, standing: Standing) -> "EventStatus":
        """Leave out the broker's words, which may name a routing key: it tells a new address from a known one."""
        kind = standing.last_error.partition(":")[0] if standing.last_error else None
        return cls(
            **{name: getattr(standing, name) for name in cls.model_fields if name != "last_error"}, last_error=kind
        )
