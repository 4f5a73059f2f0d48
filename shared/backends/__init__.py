"""The promise of `shared.transport`, kept once per broker. A backend is imported only when its URL is chosen."""

from urllib.parse import urlsplit

from shared.transport import Transport


def open_transport(url: str, *, name: str) -> Transport:
    """Return the transport for a broker URL; `name` is what the broker shows for our connections.

    Opens no connection. Raises ValueError, naming what is supported, for any other scheme.
    """
    scheme = urlsplit(url).scheme
    if scheme in {"amqp", "amqps"}:
        from shared.backends.rabbitmq import RabbitTransport

        return RabbitTransport(url, name=name)
    if scheme == "memory":
        from shared.backends.memory import MemoryTransport

        return MemoryTransport()
    raise ValueError(f"broker URL scheme {scheme!r} is not one of amqp, amqps, memory")
