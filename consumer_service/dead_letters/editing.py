"""Mends the body of a dead letter: the original stays as it was, and another with an id of its own takes its place."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog
import uuid_utils.compat
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumer_service.dead_letters.audit import Order, note
from consumer_service.dead_letters.headers import to_text
from consumer_service.dead_letters.letters import Letter, read_letter
from consumer_service.dead_letters.readers import Readers
from consumer_service.dead_letters.returning import advance
from consumer_service.dead_letters.stored import LETTERS, DeadLetter
from consumer_service.lifecycle import State, Step
from shared.envelope import HEADER_PREFIXES
from shared.transport import Message

CAUSED_BY = "causationid"

log: Any = structlog.get_logger()


def mended(original: DeadLetter, body: bytes) -> Message:
    """Return the message with this body and a fresh id (uuid7), caused by the original.

    The id and the cause are written where the envelope has its own: into the body, or into the `ce-` headers. A body
    that is not JSON gets them as a property of the broker only.
    """
    message, new_id = original.message, str(uuid_utils.compat.uuid7())
    attributes = {"id": new_id, CAUSED_BY: original.message_id}
    headers = _in_headers(message.headers, attributes)
    is_binary = headers != message.headers
    return replace(message, body=body if is_binary else _in_body(body, attributes), message_id=new_id, headers=headers)


def _in_headers(headers: Mapping[str, object], attributes: dict[str, str]) -> Mapping[str, object]:
    prefix = next((prefix for prefix in HEADER_PREFIXES if f"{prefix}specversion" in headers), None)
    if prefix is None:
        return headers
    return {**headers, **{f"{prefix}{name}": value for name, value in attributes.items()}}


def _in_body(body: bytes, attributes: dict[str, str]) -> bytes:
    found = _json(body)
    if not isinstance(found, dict):
        return body
    return json.dumps(found | attributes, ensure_ascii=False, separators=(",", ":")).encode()


def readable(body: bytes) -> str:
    """Return a body as an editor shows it: JSON indented, anything else as text, bytes that are no text written out."""
    found = _json(body)
    if found is None:
        return body.decode("utf-8", "backslashreplace")
    return json.dumps(found, indent=2, ensure_ascii=False)


def difference(before: bytes, after: bytes) -> str:
    """Return what has changed as a unified diff of the readable forms; empty when nothing has."""
    old, new = readable(before).splitlines(), readable(after).splitlines()
    lines = difflib.unified_diff(old, new, "as it died", "as edited", lineterm="")
    return "\n".join(lines).replace("\x00", "\\x00")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def edit(
    engine: AsyncEngine, original: DeadLetter, message: Message, order: Order, readers: Readers
) -> DeadLetter | None:
    """Put a dead letter with this message in the original's place, claimed for its replay; return it, and commit.

    None when nobody waits for a decision about the original any more. It is to be sent home next; after a crash in
    between, a replay of it does that.
    """
    letter = read_letter(message, original.queue, readers, datetime.now(UTC))
    async with engine.begin() as connection:
        if not await advance(connection, [original.id], Step.EDIT):
            return None
        successor = await _insert(connection, original, letter)
        await note(connection, Step.EDIT, order, [original], {"edited_to": successor.id})
        await note(connection, Step.REPLAY, order, [successor], {"edited_from": original.id})
    log.info("dead_letter.edited", dead_letter=original.id, edited_to=successor.id, operator=order.by)
    return successor


async def _insert(connection: AsyncConnection, original: DeadLetter, letter: Letter) -> DeadLetter:
    """It has not died yet, and is as old as the original, so that it expires with it."""
    names = ("queue", "message_id", "body_hash", "type", "task", "subject", "source", "correlation_id")
    kept = ("reason", "error", "error_class", "fingerprint", "attempts", "first_died_at", "last_died_at", "time")
    statement = insert(LETTERS).values(
        **{name: getattr(letter, name) for name in names},
        **{name: getattr(original, name) for name in kept},
        state=State.REPLAYING,
        replays=1,
        deaths=0,
        content_type=letter.message.content_type,
        headers=to_text(letter.message.headers),
        body=letter.message.body,
        edited_from=original.id,
        diff=difference(original.body, letter.message.body),
    )
    return DeadLetter.of((await connection.execute(statement.returning(LETTERS))).one())
