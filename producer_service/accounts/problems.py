"""What the refusals of accounts become over HTTP. Which of several reasons it was, no problem says."""

from typing import Any

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from producer_service.problems import INVALID, Kind, answer
from producer_service.refusals import NoSession, ProofRefused, SignInRefused, TooManyAttempts, WeakPassword

NO_SESSION = Kind(
    401, "no-session", "There is no such session", "Sign in, and send the token as Authorization: Bearer."
)
SIGN_IN_REFUSED = Kind(
    401, "sign-in-refused", "Address or password is wrong", "Try again, or ask for a link to set a new password."
)
PROOF_REFUSED = Kind(
    403,
    "proof-refused",
    "This link or code is not valid",
    "It is wrong, has expired, has been used, or a newer one has taken its place. Ask for another one.",
)
TOO_MANY = Kind(
    429,
    "too-many-attempts",
    "There were too many attempts",
    "Nothing was tried. Wait for the seconds in Retry-After, or ask for a link to set a new password.",
)
KINDS = (NO_SESSION, SIGN_IN_REFUSED, PROOF_REFUSED, TOO_MANY)

CHALLENGE = {"WWW-Authenticate": "Bearer"}


def install_refusals(app: FastAPI) -> None:
    """Make an app answer every refusal with its problem."""
    handlers: list[tuple[type[Exception], Any]] = [
        (WeakPassword, _weak),
        (ProofRefused, _proof_refused),
        (SignInRefused, _sign_in_refused),
        (NoSession, _no_session),
        (TooManyAttempts, _too_many),
    ]
    for error, handler in handlers:
        app.add_exception_handler(error, handler)


async def _weak(_request: Request, error: WeakPassword) -> Response:
    return answer(INVALID, errors=[{"pointer": "/password", "detail": str(error)}])


async def _proof_refused(request: Request, _error: ProofRefused) -> Response:
    structlog.get_logger().warning("proof.refused", path=request.url.path)
    return answer(PROOF_REFUSED)


async def _sign_in_refused(_request: Request, _error: SignInRefused) -> Response:
    return answer(SIGN_IN_REFUSED, headers=CHALLENGE)


async def _no_session(_request: Request, _error: NoSession) -> Response:
    return answer(NO_SESSION, headers=CHALLENGE)


async def _too_many(_request: Request, error: TooManyAttempts) -> Response:
    return answer(TOO_MANY, headers={"Retry-After": str(error.seconds)})
