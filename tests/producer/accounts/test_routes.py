import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from support.clients import asking
from support.databases import on_sqlite

from producer_service.accounts.problems import KINDS
from producer_service.app import producer
from shared.backends.memory import MemoryTransport

ANN = {"email": "ann@example.org", "password": "correct horse", "name": "Ann"}
EMAIL = {"email": "ann@example.org"}
CODE = EMAIL | {"purpose": "sign-in"}
TOKEN = {"token": "a.b.c"}
CHEAP = PasswordHash((Argon2Hasher(memory_cost=8, time_cost=1, parallelism=1),))
ASKED = [
    ("/v1/users", ANN),
    ("/v1/email-verifications", EMAIL),
    ("/v1/password-resets", EMAIL),
    ("/v1/verification-codes", CODE),
]


@pytest.fixture
async def client(engine, settings):
    """The whole API, in which a password costs next to nothing."""
    assert engine
    async with producer(settings, MemoryTransport(), hasher=CHEAP) as app, asking(app) as client:
        yield client


async def test_an_account_lives_from_its_registration_to_a_new_password(client, mailed):
    await client.post("/v1/users", json=ANN)
    verified = await client.post("/v1/email-verifications/redeem", json={"token": await mailed()})
    await client.post("/v1/verification-codes", json=CODE)
    checked = await client.post("/v1/verification-codes/check", json=CODE | {"code": await mailed()})
    session = (await client.post("/v1/sessions", json=EMAIL | {"password": ANN["password"]})).json()
    bearer = {"Authorization": f"Bearer {session['token']}"}
    current = await client.get("/v1/sessions/current", headers=bearer)
    await client.post("/v1/password-resets", json=EMAIL)
    reset = await client.post(
        "/v1/password-resets/redeem", json={"token": await mailed(), "password": "battery staple"}
    )
    gone = await client.get("/v1/sessions/current", headers=bearer)
    again = await client.post("/v1/sessions", json=EMAIL | {"password": "battery staple", "device": session["device"]})
    closed = await client.delete("/v1/sessions/current", headers={"Authorization": f"bearer {again.json()['token']}"})

    assert (verified.status_code, verified.content) == (204, b"")
    assert (checked.status_code, checked.json()) == (200, {"verified": True})
    assert (session["token_type"], current.json()["email_verified"]) == ("Bearer", True)
    assert current.json()["expires_at"] == session["expires_at"]
    assert (reset.status_code, gone.status_code, again.status_code, closed.status_code) == (204, 401, 201, 204)
    assert current.headers["Cache-Control"] == again.headers["Cache-Control"] == "no-store"


@on_sqlite
@pytest.mark.parametrize(("path", "body"), ASKED, ids=[path for path, _ in ASKED])
async def test_an_unknown_address_gets_the_same_answer_as_a_known_one_and_both_can_be_followed(client, path, body):
    await client.post("/v1/users", json=ANN)

    known = await client.post(path, json=body)
    unknown = await client.post(path, json=body | {"email": "bob@example.org"})

    assert (known.status_code, unknown.status_code) == (202, 202)
    assert known.json().keys() == unknown.json().keys()
    assert [*known.headers] == [*unknown.headers]
    assert [len(value) for value in known.headers.values()] == [len(value) for value in unknown.headers.values()]
    statuses = [(await client.get(answer.headers["Location"])).json() for answer in (known, unknown)]
    assert [status["status"] for status in statuses] == ["pending", "pending"]
    assert statuses[0].keys() == statuses[1].keys()


@on_sqlite
@pytest.mark.parametrize(("path", "body"), ASKED, ids=[path for path, _ in ASKED])
async def test_whoever_asks_too_often_gets_the_same_answer_and_nothing_more_is_recorded(client, rows, path, body):
    answers = [await client.post(path, json=body) for _ in range(8)]

    assert {answer.status_code for answer in answers} == {202}
    assert len(await rows()) == 5
    assert {answer.json()["event_id"] for answer in answers} == {row.id for row in await rows()}


@on_sqlite
async def test_every_wrong_link_and_code_gets_one_answer(client, mailed):
    await client.post("/v1/users", json=ANN)
    used = {"token": await mailed()}
    await client.post("/v1/email-verifications/redeem", json=used)

    answers = [
        await client.post("/v1/email-verifications/redeem", json=used),
        await client.post("/v1/email-verifications/redeem", json=TOKEN),
        await client.post("/v1/password-resets/redeem", json=used | {"password": "battery staple"}),
        await client.post("/v1/verification-codes/check", json=CODE | {"code": "000000"}),
        await client.post("/v1/verification-codes/check", json=CODE | {"email": "b@c.example", "code": "000000"}),
    ]

    assert {(answer.status_code, answer.content) for answer in answers} == {(403, answers[0].content)}
    assert answers[0].json()["type"] == "/problems/proof-refused"


@on_sqlite
async def test_a_wrong_password_and_an_unknown_address_get_one_answer(client):
    await client.post("/v1/users", json=ANN)

    wrong = await client.post("/v1/sessions", json=EMAIL | {"password": "wrong"})
    unknown = await client.post("/v1/sessions", json={"email": "bob@example.org", "password": "wrong"})

    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
    assert (wrong.status_code, wrong.json()["type"]) == (401, "/problems/sign-in-refused")
    assert wrong.headers["WWW-Authenticate"] == "Bearer"


@on_sqlite
async def test_too_many_attempts_are_told_when_to_come_back(client):
    answers = [await client.post("/v1/sessions", json=EMAIL | {"password": "wrong"}) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert 3500 < int(answers[-1].headers["Retry-After"]) <= 3600


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", b"Bearer \xff", "x" * 5000]
)
async def test_what_is_no_bearer_token_of_ours_has_no_session(door, header):
    headers = {} if header is None else {"Authorization": header}

    for answer in (
        await door.get("/v1/sessions/current", headers=headers),
        await door.delete("/v1/sessions/current", headers=headers),
    ):
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/no-session")


async def test_what_a_refusal_means_can_be_looked_up(door):
    for kind in KINDS:
        answer = await door.get(kind.type)

        assert answer.json() == {
            "type": kind.type,
            "title": kind.title,
            "status": kind.status,
            "meaning": kind.meaning,
        }


async def test_a_weak_password_is_pointed_at(door):
    weak = await door.post("/v1/users", json=ANN | {"password": "password1"})
    personal = await door.post("/v1/users", json=ANN | {"password": "ann@example.org"})

    for answer, detail in ((weak, "is among the most common"), (personal, "must have at least 8 characters beside")):
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["pointer"] == "/password"
        assert error["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("path", "body", "pointer", "detail"),
    [
        ("/v1/email-verifications", {"email": "a@b"}, "/email", "must be an e-mail address, as in ann@example.org"),
        ("/v1/email-verifications", EMAIL | {"locale": "x y"}, "/locale", "must be a language tag, as in en or zh-CN"),
        ("/v1/password-resets", {}, "/email", "Field required"),
        ("/v1/password-resets/redeem", TOKEN, "/password", "Field required"),
        ("/v1/password-resets/redeem", TOKEN | {"password": "short"}, "/password", "must have 8 to 128 characters"),
        ("/v1/email-verifications/redeem", {"token": "a\n"}, "/token", "must be the token as it stands in the link"),
        ("/v1/email-verifications/redeem", {"token": "x" * 513}, "/token", "must be the token as it stands"),
        ("/v1/verification-codes", EMAIL | {"purpose": "A B"}, "/purpose", "must begin with a small letter"),
        ("/v1/verification-codes/check", CODE | {"code": "12345"}, "/code", "must be six digits"),
        ("/v1/verification-codes/check", CODE | {"code": "\uff11" * 6}, "/code", "must be six digits"),
        ("/v1/verification-codes/check", CODE | {"code": 123456}, "/code", "Input should be a valid string"),
        ("/v1/sessions", EMAIL | {"password": ""}, "/password", "must have 1 to 128 whole characters"),
        ("/v1/sessions", EMAIL | {"password": "x", "device": "\0"}, "/device", "must be the token as it stands"),
        ("/v1/sessions", EMAIL | {"password": "x", "admin": 1}, "/admin", "Extra inputs are not permitted"),
    ],
)
async def test_a_wrong_field_is_pointed_at_and_told_what_would_be_right(door, path, body, pointer, detail):
    answer = await door.post(path, json=body)

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["detail"][: len(detail)]) == (pointer, detail)
