"""Why a user is refused, as errors that say nothing an attacker could use. What they become over HTTP: `problems`."""


class ProofRefused(Exception):
    """A link or code is wrong, expired, used, void or guessed at too often: nobody is told which."""


class SignInRefused(Exception):
    """The address is unknown or the password is wrong: nobody is told which."""


class NoSession(Exception):
    """The bearer token is missing, unknown or expired."""


class WeakPassword(Exception):
    """The password would be guessed. The message says what would be right, and repeats nothing of it."""


class TooManyAttempts(Exception):
    """Somebody has tried too often, here or elsewhere; trying again after `seconds` is right."""

    def __init__(self, seconds: int) -> None:
        """Say how long to wait."""
        super().__init__(f"try again in {seconds} s")
        self.seconds = seconds
