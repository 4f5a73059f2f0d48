import pytest
from benchmarks.pages import NoResults, keep, kept, publish, render
from benchmarks.report import BEGIN, END

RESULTS = {"consume": {"ours, inbox": [{"round": 0, "per_second": 9.0}]}}


def test_what_was_kept_can_be_rendered_later(tmp_path):
    keep(tmp_path, RESULTS, ["Measured."])

    results, preface = kept(tmp_path)
    render(tmp_path, results, preface)

    assert results == RESULTS
    assert "\nMeasured.\n" in (tmp_path / "benchmarks.md").read_text()
    assert (tmp_path / "benchmarks.svg").read_text().startswith("<svg ")


def test_a_folder_without_results_is_named(tmp_path):
    with pytest.raises(NoResults, match=f"{tmp_path}"):
        kept(tmp_path)


def test_publishing_leaves_the_words_of_the_page_alone(tmp_path):
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# How\n\n{BEGIN}\n{END}\n\n## Why\n")

    publish(tmp_path, RESULTS, ["Measured."])

    assert page.read_text().startswith(f"# How\n\n{BEGIN}\n\n![")
    assert "\nMeasured.\n" in page.read_text()
    assert page.read_text().endswith(f"{END}\n\n## Why\n")
    assert (tmp_path / "benchmarks.svg").exists()
