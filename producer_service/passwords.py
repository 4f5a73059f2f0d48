"""Hashing passwords without stopping the loop or filling the memory."""

import asyncio

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

WAIT_SECONDS = 5.0


class Overloaded(Exception):
    """Too many others are in line; nothing was done, and trying again in a moment is right."""


def argon2id() -> PasswordHash:
    """Return Argon2id as RFC 9106 advises where memory is limited (section 4): 64 MiB, 3 passes, 4 lanes."""
    return PasswordHash((Argon2Hasher(memory_cost=64 * 1024, time_cost=3, parallelism=4),))


class Passwords:
    """Hashes in threads, a few at once: each takes 64 MiB, so a crowd must wait in line rather than in memory."""

    def __init__(self, *, hasher: PasswordHash, at_once: int, wait_seconds: float = WAIT_SECONDS) -> None:
        """`at_once` bounds the memory; `wait_seconds` the time in line."""
        self._hasher = hasher
        self._turns = asyncio.Semaphore(at_once)
        self._wait_seconds = wait_seconds

    async def hash(self, password: str) -> str:
        """Return a salted hash with its parameters. Raises Overloaded after `wait_seconds` in line."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded("too many passwords are being hashed") from None
        try:
            return await asyncio.to_thread(self._hasher.hash, password)
        finally:
            self._turns.release()
