"""The promise of `shared.transport`, kept once per broker. A backend is imported only when its URL is chosen."""

from urllib.parse import urlsplit

from shared.transport import Transport


def open_transport(url: str, *, name: str, management_url: str | None = None) -> Transport:
    """Return the transport for a broker URL; `name` is what the broker shows for our connections.

    `management_url` is that of RabbitMQ's management API, for those who plan a topology; nobody else needs it.
    Opens no connection. Raises ValueError, naming what is supported, for any other scheme.
    """
    scheme = urlsplit(url).scheme
    if scheme in {"amqp", "amqps"}:
        from shared.backends.rabbitmq import RabbitTransport

        return RabbitTransport(url, name=name, management_url=management_url)
    if scheme == "memory":
        from shared.backends.memory import MemoryTransport

        return MemoryTransport()
    raise ValueError(f"broker URL scheme {scheme!r} is not one of amqp, amqps, memory")
