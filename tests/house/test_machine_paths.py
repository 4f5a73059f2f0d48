"""The repository is at home on any machine."""

import re

from support.repository import ROOT, files

SOMEBODYS_FOLDER = re.compile(r"(?<![\w.:/{}$-])/(?:root|home|Users|work)/[\w.]")


def test_no_file_names_a_folder_of_somebodys_machine():
    named = []

    for path in files():
        text = path.read_bytes().decode(errors="ignore")
        named += [f"{path.relative_to(ROOT)}: {found.group()}" for found in SOMEBODYS_FOLDER.finditer(text)]

    assert named == []


def test_the_pattern_would_find_one():
    assert SOMEBODYS_FOLDER.search("see " + "/home" + "/ann/tidings")
    assert not SOMEBODYS_FOLDER.search("https://example.org" + "/home" + "/ann")
