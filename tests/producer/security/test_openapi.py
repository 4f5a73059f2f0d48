"""What the OpenAPI document promises is tried: with what fits it, with what does not, and by following its links."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from support.databases import on_postgres
from support.threaded import api_in_a_thread

from producer_service.ingestion.issuing import Issuing

pytestmark = [pytest.mark.slow, on_postgres]

BRIEFLY = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck), "derandomize": True}
NO_SHRINKING = (Phase.explicit, Phase.generate)

WHAT_A_SCHEMA_CANNOT_SAY = [positive_data_acceptance]
"""Which addresses no mail can reach, which passwords are common, whether a line break is encoded in a name."""

INGESTION = r"^/v1/events(:batch)?$"

LINKED = r"^/v1/(users|password-resets|verification-codes|verification-codes/check|events/\{event_id\})$"


@pytest.fixture
def document(engine, settings):
    assert engine
    with api_in_a_thread(settings.model_copy(update={"catalogue": True})) as port:
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")


@pytest.fixture
async def key(engine):
    """A key that may send everything, so that nothing is refused for want of one."""
    return await Issuing(engine).create("fuzz", types=["#"], sources=["/*"], rate=0)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_fails_and_every_answer_is_one_that_is_documented(document, mode):
    operations = [result.ok() for result in document.get_all_operations()]
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for operation in operations])

    @settings(max_examples=60, phases=NO_SHRINKING, **BRIEFLY)
    @given(cases)
    def ask(case):
        case.call_and_validate(excluded_checks=WHAT_A_SCHEMA_CANNOT_SAY)

    ask()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_of_another_service_fails_and_every_answer_is_one_that_is_documented(document, key, mode):
    operations = [result.ok() for result in document.include(path_regex=INGESTION).get_all_operations()]
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for operation in operations])
    seen = set()

    @settings(max_examples=60, phases=NO_SHRINKING, **BRIEFLY)
    @given(cases)
    def send(case):
        told_in_a_207 = [negative_data_rejection] if case.operation.path.endswith(":batch") else []
        answer = case.call_and_validate(
            headers={"Authorization": f"Bearer {key}"}, excluded_checks=[*WHAT_A_SCHEMA_CANNOT_SAY, *told_in_a_207]
        )
        seen.add(answer.status_code)

    send()

    assert 422 in seen


def test_following_its_links_meets_no_failure(document):
    seen = []
    document.config.generation.update(modes=[GenerationMode.POSITIVE])

    class Machine(document.include(path_regex=LINKED).as_state_machine()):
        def validate_response(self, response, case, **_):
            seen.append((case.operation.label, response.status_code))
            case.validate_response(response, excluded_checks=WHAT_A_SCHEMA_CANNOT_SAY)

    Machine.run(settings=settings(max_examples=12, stateful_step_count=6, phases=NO_SHRINKING, **BRIEFLY))

    assert ("GET /v1/events/{event_id}", 200) in seen
    assert ("POST /v1/verification-codes/check", 403) in seen
