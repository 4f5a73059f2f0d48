import asyncio
import os
import re
import sys
import threading

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from producer_service.passwords import Overloaded, Passwords, argon2id

CHEAP = PasswordHash((Argon2Hasher(memory_cost=8, time_cost=1, parallelism=1),))


class SlowHasher:
    """Stands in a thread until it is let go; counts how many stand there at once."""

    def __init__(self):
        self.go = threading.Event()
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def hash(self, password):
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.go.wait(5)
        with self._lock:
            self.at_once -= 1
        return password


class AskingHasher:
    """Finds something out in the thread that hashes, and returns that."""

    def __init__(self, find_out):
        self._find_out = find_out

    def hash(self, _password):
        return self._find_out()


class CountingHasher:
    """Finds every password right, and remembers which hashes it was asked about."""

    def __init__(self):
        self.verified = []

    def hash(self, _password):
        return "the hash of nobody"

    def verify_and_update(self, _password, digest):
        self.verified.append(digest)
        return True, None


@pytest.mark.slow
def test_the_profile_is_rfc_9106_for_little_memory():
    digest = argon2id().hash("correct horse")

    assert digest.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_a_hash_verifies_its_password_and_no_other():
    digest = await Passwords(hasher=CHEAP, at_once=1).hash("correct horse")

    assert CHEAP.verify("correct horse", digest)
    assert not CHEAP.verify("battery staple", digest)


async def test_a_password_is_verified_and_a_hash_with_todays_parameters_is_kept():
    passwords = Passwords(hasher=CHEAP, at_once=1)
    digest = await passwords.hash("correct horse")

    assert await passwords.verify("correct horse", digest) == (True, None)
    assert await passwords.verify("battery staple", digest) == (False, None)


async def test_a_hash_with_outdated_parameters_is_renewed_once_its_password_is_known():
    outdated = PasswordHash((Argon2Hasher(memory_cost=8, time_cost=2, parallelism=1),)).hash("correct horse")
    passwords = Passwords(hasher=CHEAP, at_once=1)

    right, renewed = await passwords.verify("correct horse", outdated)

    assert right
    assert renewed is not None
    assert CHEAP.verify("correct horse", renewed)
    assert await passwords.verify("battery staple", outdated) == (False, None)


async def test_where_there_is_no_hash_no_password_is_right_and_one_is_verified_all_the_same():
    hasher = CountingHasher()
    passwords = Passwords(hasher=hasher, at_once=1)

    results = [await passwords.verify("anything", digest) for digest in (None, None, "a hash")]

    assert results == [(False, None), (False, None), (True, None)]
    assert hasher.verified == ["the hash of nobody", "the hash of nobody", "a hash"]


async def test_equal_passwords_have_different_hashes():
    passwords = Passwords(hasher=CHEAP, at_once=2)

    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_any_characters_are_hashed_whole():
    password = "\0" * 100 + "ä🐇" * 14

    digest = await Passwords(hasher=CHEAP, at_once=1).hash(password)

    assert CHEAP.verify(password, digest)
    assert not CHEAP.verify(password[:-1], digest)
    assert re.fullmatch(r"[ -~]+", digest)


async def test_the_loop_goes_on_while_a_password_is_hashed():
    hasher = SlowHasher()
    hashing = asyncio.create_task(Passwords(hasher=hasher, at_once=1).hash("correct horse"))

    await asyncio.sleep(0)
    hasher.go.set()

    assert await hashing == "correct horse"


async def test_only_a_few_are_hashed_at_once():
    hasher = SlowHasher()
    passwords = Passwords(hasher=hasher, at_once=2)
    crowd = [asyncio.create_task(passwords.hash(str(number))) for number in range(8)]
    await asyncio.sleep(0.1)
    hasher.go.set()

    await asyncio.gather(*crowd)

    assert hasher.most_at_once == 2


async def test_who_stands_in_line_too_long_is_sent_away():
    hasher = SlowHasher()
    passwords = Passwords(hasher=hasher, at_once=1, wait_seconds=0.05)
    first = asyncio.create_task(passwords.hash("first"))
    await asyncio.sleep(0)

    with pytest.raises(Overloaded):
        await passwords.hash("second")

    hasher.go.set()
    await first
    assert await passwords.hash("third") == "third"


@pytest.mark.skipif(sys.platform != "linux", reason="only there has a thread a niceness of its own")
async def test_whatever_else_the_process_has_to_do_goes_before_hashing():
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    hasher = AskingHasher(niceness)

    assert await Passwords(hasher=hasher, at_once=1).hash("correct horse") > niceness()
