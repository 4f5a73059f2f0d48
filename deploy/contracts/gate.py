"""The gate: does the code of today keep what was promised, to stored messages and to deployed readers? Pure."""

from collections.abc import Iterator, Sequence

from consumer_service.upcasters import Upcaster, Upcasting
from deploy.contracts.compatibility import breaks
from deploy.contracts.history import RELEASED, Promise
from deploy.contracts.schemas import schema_of, version_of
from shared.contracts import Contract
from shared.envelope import EnvelopeReader
from shared.errors import EnvelopeError
from shared.transport import Message


class Gate:
    """Knows what the contracts and upcasters of today read and write."""

    def __init__(self, contracts: Sequence[type[Contract]], upcasters: Sequence[Upcaster]) -> None:
        """Compile what reads the messages of old."""
        self._today = {contract.wire_type: schema_of(contract) for contract in contracts}
        upcasting = Upcasting(upcasters, self._today)
        self._reader = EnvelopeReader(contracts, upcasting)
        self._brought_up = {old for wire_type in self._today for old in upcasting.older(wire_type)}

    def broken(self, promises: Sequence[Promise]) -> Iterator[str]:
        """Yield, one line each, what is broken, and what to do instead.

        A type that is gone is no break where upcasters lead from it to one that is read.
        """
        for promise in promises:
            if promise.wire_type in self._today:
                yield from self._form(promise)
                yield from self._message(promise)
            elif promise.wire_type in self._brought_up:
                yield from self._message(promise)
            else:
                yield _gone(promise)

    def _form(self, promise: Promise) -> Iterator[str]:
        for found in breaks(promise.schema, self._today[promise.wire_type]):
            yield f"{promise.wire_type} {found} ({promise.origin}). {_remedy(promise.wire_type)}"

    def _message(self, promise: Promise) -> Iterator[str]:
        """Read the very message that was recorded: validators and upcasters refuse what no schema shows."""
        if promise.message is None:
            return
        try:
            self._reader.read(Message(promise.message))
        except EnvelopeError as error:
            yield f"{promise.wire_type}: a recorded message is not read any more: {error} ({promise.origin})"


def _gone(promise: Promise) -> str:
    return (
        f"{promise.wire_type} is gone ({promise.origin}); recorded messages of it could not be read. Keep the class, "
        f"or add an upcaster; when nobody writes or reads it any more, remove {RELEASED}/{promise.wire_type}"
    )


def _remedy(wire_type: str) -> str:
    version = version_of(wire_type)
    family = wire_type.removesuffix(f".v{version}")
    return f"Leave it as it was, and add {family}.v{version + 1} beside it"
