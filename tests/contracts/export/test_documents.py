"""What is committed is what the code says."""

import json

from support.repository import ROOT

from deploy.contracts.documents import HOMES, PAGE, documents, product_version, stale, write
from deploy.contracts.schemas import CONTRACTS
from deploy.contracts.subscriptions import registered

WANTED = documents(CONTRACTS, registered(), version=product_version(ROOT))


def test_every_committed_document_is_what_the_code_says():
    assert list(stale(ROOT, WANTED)) == []


def test_the_same_code_writes_the_same_documents():
    assert documents(CONTRACTS, registered(), version=product_version(ROOT)) == WANTED


def test_the_api_serves_what_is_committed_for_everybody():
    ours, served = (
        {path.removeprefix(home): text for path, text in WANTED.items() if path.startswith(home)} for home in HOMES
    )

    assert ours == served
    assert len(ours) == len(CONTRACTS) + 1


def test_json_is_written_to_be_compared():
    text = WANTED["contracts/schemas/user.created.json"]

    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


def test_what_is_missing_changed_or_left_over_is_stale_until_it_is_written(tmp_path):
    write(tmp_path, WANTED)
    (tmp_path / PAGE).write_text("something else")
    (tmp_path / "contracts/asyncapi.json").unlink()
    (tmp_path / "contracts/schemas/user.gone.json").write_text("{}")
    wrong = ["contracts/asyncapi.json", PAGE, "contracts/schemas/user.gone.json"]

    assert list(stale(tmp_path, WANTED)) == wrong
    assert write(tmp_path, WANTED) == wrong
    assert list(stale(tmp_path, WANTED)) == []
    assert not (tmp_path / "contracts/schemas/user.gone.json").exists()
