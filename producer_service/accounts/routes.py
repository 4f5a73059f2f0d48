"""HTTP in, HTTP out, for what users do once they have registered."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from producer_service.accounts.asking import Wish
from producer_service.accounts.codes import VerificationCodes
from producer_service.accounts.problems import NO_SESSION, PROOF_REFUSED, SIGN_IN_REFUSED, TOO_MANY
from producer_service.accounts.resets import PasswordResets
from producer_service.accounts.schemas import (
    CodeCheck,
    CodeRequest,
    MailRequest,
    NewSession,
    PasswordReset,
    Redemption,
    SessionStatus,
    SignIn,
    Verified,
)
from producer_service.accounts.sessions import Credentials, Sessions
from producer_service.accounts.verifications import EmailVerifications
from producer_service.edge import travel_of
from producer_service.high_water import HighWater
from producer_service.preconditions import require_json, room_in
from producer_service.problems import IN_OPENAPI, in_openapi
from producer_service.refusals import NoSession
from producer_service.schemas import FOLLOWED, Accepted
from producer_service.unit_of_work import Travel

InTravel = Annotated[Travel, Depends(travel_of)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
NO_STORE = {"Cache-Control": "no-store"}

CHECKED: dict[str, Any] = {
    "check": {
        "operationId": "check_code",
        "requestBody": {"email": "$request.body#/email", "purpose": "$request.body#/purpose", "code": "000000"},
        "description": "Check the code that was sent; what is written here is none.",
    }
}


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the routes call."""

    verifications: EmailVerifications
    resets: PasswordResets
    codes: VerificationCodes
    sessions: Sessions


def build_account_routes(*, use_cases: UseCases, high_water: HighWater) -> APIRouter:
    """Return the routes. What records a message is refused while the outbox is full."""
    router = APIRouter(prefix="/v1", responses=dict(IN_OPENAPI))
    recording = [Depends(room_in(high_water)), Depends(require_json)]
    _verify_addresses(router, use_cases.verifications, recording)
    _reset_passwords(router, use_cases.resets, recording)
    _check_codes(router, use_cases.codes, recording)
    _sign_in_and_out(router, use_cases.sessions)
    return router


def _verify_addresses(router: APIRouter, verifications: EmailVerifications, recording: list[Any]) -> None:
    @router.post("/email-verifications", status_code=202, dependencies=recording, responses=FOLLOWED)
    async def request_verification(wish: MailRequest, travel: InTravel, response: Response) -> Accepted:
        """Send the link again. The answer is the same whether the address is known; its owner learns by mail."""
        return _accepted(await verifications.request(Wish(wish.email, wish.locale), travel), response)

    @router.post(
        "/email-verifications/redeem", status_code=204, dependencies=recording, responses=in_openapi(PROOF_REFUSED)
    )
    async def redeem_verification(redemption: Redemption, travel: InTravel) -> None:
        """Take the token of a link, once: the address is verified."""
        await verifications.redeem(redemption.token.get_secret_value(), travel)


def _reset_passwords(router: APIRouter, resets: PasswordResets, recording: list[Any]) -> None:
    @router.post("/password-resets", status_code=202, dependencies=recording, responses=FOLLOWED)
    async def request_reset(wish: MailRequest, travel: InTravel, response: Response) -> Accepted:
        """Send a link. The answer is the same whether the address is known; its owner learns by mail."""
        return _accepted(await resets.request(Wish(wish.email, wish.locale), travel), response)

    @router.post(
        "/password-resets/redeem", status_code=204, dependencies=recording, responses=in_openapi(PROOF_REFUSED)
    )
    async def redeem_reset(reset: PasswordReset, travel: InTravel) -> None:
        """Take the token of a link, once, and set the password. Every session of the user ends."""
        await resets.redeem(reset.token.get_secret_value(), reset.password.get_secret_value(), travel)


def _check_codes(router: APIRouter, codes: VerificationCodes, recording: list[Any]) -> None:
    @router.post(
        "/verification-codes",
        status_code=202,
        dependencies=recording,
        responses={202: {"links": FOLLOWED[202]["links"] | CHECKED}},
    )
    async def request_code(wish: CodeRequest, travel: InTravel, response: Response) -> Accepted:
        """Send six digits. The answer is the same whether the address is known; its owner learns by mail."""
        return _accepted(await codes.request(Wish(wish.email, wish.locale), wish.purpose, travel), response)

    @router.post(
        "/verification-codes/check",
        operation_id="check_code",
        dependencies=[Depends(require_json)],
        responses=in_openapi(PROOF_REFUSED),
    )
    async def check_code(check: CodeCheck, travel: InTravel) -> Verified:
        """Take a code, once. Guesses are counted: five for a code, and ten an hour for an address."""
        await codes.check(check.email, check.purpose, check.code, travel)
        return Verified()


def _sign_in_and_out(router: APIRouter, sessions: Sessions) -> None:
    @router.post(
        "/sessions",
        status_code=201,
        dependencies=[Depends(require_json)],
        responses=in_openapi(SIGN_IN_REFUSED, TOO_MANY),
    )
    async def sign_in(sign_in: SignIn, travel: InTravel, response: Response) -> NewSession:
        """Sign in. The answer is the same for a wrong password and for an unknown address."""
        signed_in = await sessions.open(_credentials(sign_in), travel)
        response.headers.update(NO_STORE)
        return NewSession(token=signed_in.token, expires_at=signed_in.expires_at, device=signed_in.device)

    @router.get("/sessions/current", responses=in_openapi(NO_SESSION))
    async def current_session(bearer: Bearer, travel: InTravel, response: Response) -> SessionStatus:
        """Tell whose the bearer token is."""
        current = await sessions.find(_token_of(bearer), travel)
        response.headers.update(NO_STORE)
        return SessionStatus(**current._asdict())

    @router.delete("/sessions/current", status_code=204, responses=in_openapi(NO_SESSION))
    async def sign_out(bearer: Bearer, travel: InTravel) -> None:
        """Sign out: the bearer token is worthless from now on."""
        await sessions.close(_token_of(bearer), travel)


def _accepted(event_id: str, response: Response) -> Accepted:
    response.headers["Location"] = f"/v1/events/{event_id}"
    return Accepted(event_id=event_id)


def _credentials(sign_in: SignIn) -> Credentials:
    device = sign_in.device.get_secret_value() if sign_in.device else None
    return Credentials(sign_in.email, sign_in.password.get_secret_value(), device)


def _token_of(bearer: HTTPAuthorizationCredentials | None) -> str:
    if bearer is None or not bearer.credentials.isascii():
        raise NoSession
    return bearer.credentials
