"""Canaries: what only a user may know is looked for in everything that is kept or logged."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.clients import asking
from support.databases import on_sqlite
from support.hashing import CHEAP
from support.mails import LINK_SECRET

from producer_service.app import producer
from producer_service.models import OutboxRow
from shared.backends.memory import MemoryTransport
from shared.envelope import EnvelopeReader
from shared.events import EVENTS
from shared.proofs import RESET_PASSWORD, VERIFICATION_CODE, VERIFY_EMAIL, Proofs, bound, fingerprint
from shared.transport import Message

ANN = "ann@example.org"
EMAIL = {"email": ANN}
PASSWORDS = ("first canary of Ann", "second canary of Ann")
PROOFS = Proofs(LINK_SECRET)


@pytest.fixture
async def client(engine, settings):
    assert engine
    async with producer(settings, MemoryTransport(), hasher=CHEAP) as app, asking(app) as client:
        yield client


@pytest.fixture
def last_event(rows):
    async def last_event():
        row: OutboxRow = (await rows())[-1]
        return EnvelopeReader(EVENTS).read(Message(body=row.payload)).data

    return last_event


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("tidings.db*"))


@on_sqlite
async def test_no_password_token_or_code_is_kept_or_logged(client, last_event, sqlite_file):
    with capture_logs() as logs:
        await client.post("/v1/users", json=EMAIL | {"password": PASSWORDS[0]})
        verification = PROOFS.token(VERIFY_EMAIL, bound((await last_event()).verification_id, ANN))
        await client.post("/v1/email-verifications/redeem", json={"token": verification})
        await client.post("/v1/password-resets", json=EMAIL)
        reset = PROOFS.token(RESET_PASSWORD, bound((await last_event()).reset_id, ANN))
        await client.post("/v1/password-resets/redeem", json={"token": reset, "password": PASSWORDS[1]})
        session = (await client.post("/v1/sessions", json=EMAIL | {"password": PASSWORDS[1]})).json()
        answer = await client.get("/v1/sessions/current", headers={"Authorization": f"Bearer {session['token']}"})

    kept, said = on_disk(sqlite_file.parent), str(logs).encode()
    assert answer.status_code == 200
    assert b"ann@example.org" in kept
    assert b"ann@example.org" not in said
    for secret in (*PASSWORDS, verification, reset, session["token"], session["device"], LINK_SECRET):
        assert secret.encode() not in kept + said


@on_sqlite
async def test_no_code_is_kept_or_logged(client, last_event, sqlite_file):
    asked = EMAIL | {"purpose": "sign-in"}
    with capture_logs() as logs:
        await client.post("/v1/users", json=EMAIL | {"password": PASSWORDS[0]})
        await client.post("/v1/verification-codes", json=asked)
        stored = fingerprint(VERIFICATION_CODE, bound((await last_event()).code_id, ANN))
        code = PROOFS.code(stored, datetime.now(UTC))
        answers = [
            await client.post("/v1/verification-codes/check", json=asked | {"code": guess})
            for guess in (f"{(int(code) + 1) % 1_000_000:06}", code)
        ]

    # As a word: six digits in a row stand in many an id.
    found = re.findall(
        rb"(?<![0-9a-f])%b(?![0-9a-f])" % code.encode(), on_disk(sqlite_file.parent) + str(logs).encode()
    )
    assert [answer.status_code for answer in answers] == [403, 200]
    assert found == []


@on_sqlite
async def test_what_is_kept_of_a_code_is_no_code_without_the_secret(client, last_event, sqlite_file):
    await client.post("/v1/users", json=EMAIL | {"password": PASSWORDS[0]})
    await client.post("/v1/verification-codes", json=EMAIL | {"purpose": "sign-in"})

    stored = fingerprint(VERIFICATION_CODE, bound((await last_event()).code_id, ANN))

    assert stored in on_disk(sqlite_file.parent)
    assert LINK_SECRET.encode() not in on_disk(sqlite_file.parent)


@on_sqlite
async def test_what_is_refused_is_not_repeated_in_the_answer_or_in_the_log(client):
    with capture_logs() as logs:
        answers = [
            await client.post("/v1/sessions", json={"email": "canary", "password": "canary", "device": "can ary"}),
            await client.post("/v1/password-resets/redeem", json={"token": "canary", "password": "canary " * 3}),
            await client.post("/v1/verification-codes/check", json=EMAIL | {"purpose": "canary", "code": "canary"}),
            await client.get("/v1/sessions/current", headers={"Authorization": "Bearer canary"}),
        ]

    assert [answer.status_code for answer in answers] == [422, 403, 422, 401]
    assert "canary" not in "".join(answer.text for answer in answers) + str(logs)
