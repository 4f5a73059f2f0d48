"""An entry of the catalogue."""

from producer_service.catalogue.entries import Entry, Subscriber
from producer_service.catalogue.fields import Field, Rule

AN_ENTRY = Entry(
    type="order.placed",
    kind="event",
    owner="shop",
    version=1,
    meaning="Somebody ordered.",
    exchange="domain.events",
    routing_key="bulk.order.placed",
    lane="bulk",
    publisher="producer",
    schema_id="urn:tidings:schema:order.placed:1",
    fields=(Field("size", "string", True, (Rule("at most 9 characters"), Rule("matches", "^a$")), "How big."),),  # noqa: FBT003 - a row
    example={"size": "a"},
    envelope={"id": "1", "data": {"size": "a"}},
    subscribers=(Subscriber("consumer.mail", "SendReceipt", "Sends it.", "at_least_once"),),
)
