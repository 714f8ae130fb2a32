"""Ids in the tests are ids of the notes, and the page made from them is up to date."""

import notes_map as tool


def test_every_id_on_a_test_is_an_id_of_the_notes():
    titles = tool.items()
    assert len(titles) == 432 + 201 + 133
    unknown = {
        f"{mark.item} in {mark.test}"
        for mark in tool.collect()
        if mark.item not in titles
    }
    assert not unknown


def test_the_page_is_up_to_date():
    here, made = (
        tool.PAGE.read_text(encoding="utf-8"),
        tool.page(tool.items(), tool.collect()),
    )
    assert tool.links(here) == tool.links(made), "run make docs"


def test_names_alone_do_not_outdate_the_page():
    page = "| A-01 | what | [test](x) | `one` |\n"
    assert tool.links(page) == tool.links(page.replace("one", "two"))
    assert tool.links(page) != tool.links(page.replace("[test]", "[other]"))
    assert tool.links(page) != tool.links(page.replace("A-01", "A-02"))


def test_marks_and_names_are_read_from_source(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    source = tmp_path / "test_x.py"
    source.write_text(
        "import pytest\nimport deltarule as dr\nfrom deltarule import nn\nfrom deltarule.data import KFold as K\n"
        "from deltarule.errors import DataError\nimport numpy as np\n"
        "def helper():\n    return nn.Linear(2, 3).weight\n"
        "@pytest.mark.notes('A-01')\nclass TestIt:\n"
        "    @pytest.mark.notes('A-02', 'A-03')\n"
        "    def test_one(self):\n        assert dr.exp(helper()).numpy() is K(2) is np.zeros(1), DataError\n"
        "CASES = [pytest.param(1, marks=pytest.mark.notes('A-04'))]\n"
    )
    marks = tool.marks_of(source)
    assert [(mark.item, mark.test) for mark in marks] == [
        ("A-01", "test_x.py::test_one"),
        ("A-02", "test_x.py::test_one"),
        ("A-03", "test_x.py::test_one"),
        ("A-04", "test_x.py"),
    ]
    assert marks[0].names == ("data.KFold", "exp", "nn.Linear")
