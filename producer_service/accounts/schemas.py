"""What comes in and goes out over HTTP about accounts. Secrets are in no representation and in no error."""

import re
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from producer_service.schemas import LONGEST_PASSWORD, Email, Locale, Password, is_whole

LONGEST_TOKEN = 512
TOKEN = re.compile(rf"[A-Za-z0-9_.-]{{1,{LONGEST_TOKEN}}}")
PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,39}")
CODE = re.compile(r"[0-9]{6}")


def _token(value: SecretStr) -> SecretStr:
    if not TOKEN.fullmatch(value.get_secret_value()):
        raise PydanticCustomError("token", "must be the token as it stands in the link: letters, digits, _ . and -")
    return value


def _any_password(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not 1 <= len(text) <= LONGEST_PASSWORD or not is_whole(text):
        raise PydanticCustomError("password", "must have 1 to 128 whole characters")
    return value


def _purpose(value: str) -> str:
    if not PURPOSE.fullmatch(value):
        raise PydanticCustomError(
            "purpose", "must begin with a small letter and hold small letters, digits and -, 40 at most"
        )
    return value


def _code(value: str) -> str:
    if not CODE.fullmatch(value):
        raise PydanticCustomError("code", "must be six digits")
    return value


Token = Annotated[
    SecretStr,
    AfterValidator(_token),
    Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_TOKEN, "pattern": f"^{TOKEN.pattern}$"}),
]
AnyPassword = Annotated[
    SecretStr,
    AfterValidator(_any_password),
    Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_PASSWORD}),
]
Purpose = Annotated[
    str,
    AfterValidator(_purpose),
    Field(
        description="What the code is for, as the asking application calls it.",
        json_schema_extra={"pattern": f"^{PURPOSE.pattern}$"},
    ),
]
Code = Annotated[str, AfterValidator(_code), Field(repr=False, json_schema_extra={"pattern": f"^{CODE.pattern}$"})]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MailRequest(_Body):
    """A wish for a mail. `locale` is the language for an address that has no account."""

    email: Email
    locale: Locale = "en"


class CodeRequest(MailRequest):
    """A wish for a code."""

    purpose: Purpose


class CodeCheck(_Body):
    """A code that somebody has typed."""

    email: Email
    purpose: Purpose
    code: Code


class Redemption(_Body):
    """A link that somebody has followed."""

    token: Token


class PasswordReset(Redemption):
    """A link that somebody has followed, and the new password."""

    password: Password


class SignIn(_Body):
    """Credentials. `device` is what an earlier sign-in on this device returned."""

    email: Email
    password: AnyPassword
    device: Token | None = None


class Verified(BaseModel):
    """The code was right, and is used up."""

    verified: Literal[True] = True


class NewSession(BaseModel):
    """A session. The token is told once; keep `device` for the next sign-in, also when the session is over."""

    token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a scheme, not a token
    expires_at: datetime
    device: str = Field(repr=False)


class SessionStatus(BaseModel):
    """Whose session this is."""

    user_id: UUID
    email_verified: bool
    created_at: datetime
    expires_at: datetime
