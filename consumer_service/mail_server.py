"""Where mail is handed over, read from one URL."""

import socket
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

Encryption = Literal["starttls", "tls", "off"]


@dataclass(frozen=True, slots=True)
class MailServer:
    """A server that takes our mail, and how we talk to it. `helo` is what we call ourselves there."""

    host: str
    port: int
    encryption: Encryption
    helo: str
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> "MailServer":
        """Read `smtp://user:password@host:587` (STARTTLS required) or `smtps://...:465` (TLS from the first byte).

        `?tls=off` sends in the clear, to a mail catcher or a relay on this machine, and then allows no password.
        `?helo=name` replaces this machine's name. Raises ValueError, which says what is wrong and quotes no secret.
        """
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        encryption = _encryption(parts.scheme, options.pop("tls", None))
        helo = options.pop("helo", socket.gethostname())
        if not (parts.hostname and helo) or options or parts.path.strip("/") or parts.fragment:
            raise ValueError(
                "a mail URL is smtp[s]://[user:password@]host[:port], with no options but tls=off and helo"
            )
        if parts.username and encryption == "off":
            raise ValueError("a mail URL with tls=off may not hold a user: the password would travel in the clear")
        return cls(
            host=parts.hostname,
            port=_port(parts) or (465 if encryption == "tls" else 587),
            encryption=encryption,
            helo=helo,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )


def _encryption(scheme: str, tls: str | None) -> Encryption:
    if scheme == "smtp" and tls in {None, "off"}:
        return "starttls" if tls is None else "off"
    if scheme == "smtps" and tls is None:
        return "tls"
    raise ValueError("a mail URL begins with smtp:// or smtps://, and only smtp:// may say tls=off")


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        # The library's own words quote what it took for the port, which is part of the password when that holds / or #.
        raise ValueError("the port of a mail URL is a number; special characters in a password are %-encoded") from None
