"""Passwords that cost next to nothing: what a real hash costs is proved where hashing is, and paid nowhere else."""

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

CHEAP = PasswordHash((Argon2Hasher(memory_cost=8, time_cost=1, parallelism=1),))
