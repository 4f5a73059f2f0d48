"""Hashing passwords without stopping the loop or filling the memory."""

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple, TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

WAIT_SECONDS = 5.0

NICENESS = 10
"""By which the threads that hash are nicer. A hash keeps four processors busy for long; requests that take a
millisecond go first."""

T = TypeVar("T")


class Overloaded(Exception):
    """Too many others are in line; nothing was done, and trying again in a moment is right."""


class Verified(NamedTuple):
    """Whether a password was right, and its hash by today's parameters when the one at hand has older ones."""

    right: bool
    renewed_hash: str | None


def argon2id() -> PasswordHash:
    """Return Argon2id as RFC 9106 advises where memory is limited (section 4): 64 MiB, 3 passes, 4 lanes."""
    return PasswordHash((Argon2Hasher(memory_cost=64 * 1024, time_cost=3, parallelism=4),))


class Passwords:
    """Hashes in threads, a few at once: each takes 64 MiB, so a crowd must wait in line rather than in memory.

    On Linux they leave the processors to whatever else this process has to do. Elsewhere they compete with it.
    """

    def __init__(self, *, hasher: PasswordHash, at_once: int, wait_seconds: float = WAIT_SECONDS) -> None:
        """`at_once` bounds the memory; `wait_seconds` the time in line."""
        self._hasher = hasher
        self._turns = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="hashing", initializer=_let_others_go_first)
        self._wait_seconds = wait_seconds
        self._nobodys_hash: str | None = None

    async def hash(self, password: str) -> str:
        """Return a salted hash with its parameters. Raises Overloaded after `wait_seconds` in line."""
        return await self._in_turn(lambda: self._hasher.hash(password))

    async def verify(self, password: str, password_hash: str | None) -> Verified:
        """Tell whether a password is that of a hash. Without a hash it never is, and to find that takes as long.

        Raises Overloaded after `wait_seconds` in line.
        """
        return await self._in_turn(lambda: self._verify(password, password_hash))

    async def _in_turn(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded("too many passwords are being hashed") from None
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._turns.release()

    def _verify(self, password: str, password_hash: str | None) -> Verified:
        nobodys = self._nobodys_hash = self._nobodys_hash or self._hasher.hash(secrets.token_urlsafe())
        right, renewed = self._hasher.verify_and_update(password, password_hash or nobodys)
        return Verified(right and password_hash is not None, renewed if right else None)


def _let_others_go_first() -> None:
    """Make this thread nicer, and those that it starts. Only on Linux has a thread a niceness of its own."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(PermissionError):  # Where nobody may be nicer, hashing competes, and works as well.
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
