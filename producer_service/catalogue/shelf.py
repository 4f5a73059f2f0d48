"""The documents as they lie in this package: read once, when the API is opened, and then the same for ever."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from producer_service.catalogue.entries import Entry, entries_of

DOCUMENTS = files("producer_service.catalogue").joinpath("documents")


SCHEMA, ASYNCAPI = "application/schema+json", "application/vnd.aai.asyncapi+json;version=3.1.0"
"""The media types of the documents."""


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes with the name by which a client may ask whether they have changed."""

    content: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """A strong validator (RFC 9110, 8.8.3): the same bytes have the same one, in every process."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'


@dataclass(frozen=True, slots=True)
class Shelf:
    """The AsyncAPI document, the schema of each message, and what both say, ready to be shown."""

    asyncapi: Document
    schemas: Mapping[str, Document]
    entries: tuple[Entry, ...]


def read_shelf(folder: Traversable = DOCUMENTS) -> Shelf:
    """Read everything. Blocks for a few milliseconds; it is called before anything is served."""
    asyncapi = folder.joinpath("asyncapi.json").read_bytes()
    schemas = {
        file.name.removesuffix(".json"): Document(file.read_bytes(), SCHEMA)
        for file in folder.joinpath("schemas").iterdir()
        if file.name.endswith(".json")
    }
    return Shelf(
        asyncapi=Document(asyncapi, ASYNCAPI),
        schemas=schemas,
        entries=entries_of(json.loads(asyncapi)),
    )
