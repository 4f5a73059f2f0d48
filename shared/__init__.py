"""The language of the two services, and nothing else.

A thing is admitted here when all three hold: both services need it; it goes on the wire, or is the means of
putting it there; and changing it would have to be announced to the other side. Settings, tables, HTTP, mail,
queue names, retry policy and test fakes live with the service that owns them. `logs` is the one guest:
correlation across services is itself an agreement.

Nothing is re-exported, so that every import line says its room: `from shared.envelope import Envelope`.
"""
