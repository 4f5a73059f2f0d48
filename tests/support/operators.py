"""Who intervenes in tests."""

from producer_service.interventions import Operator

ADA = Operator("ada", "the queue is bound again")
