"""Exports of exams, read and run by Pyslet, an independent implementation of QTI 2.1, QTI 1.2 and content packages."""

from __future__ import annotations

import io
import zipfile

import pytest

import deltarule as dr
from deltarule.explain.exam.exports import FORMATS
from deltarule.explain.exam.responses import Choice, Numbers, tolerance
from deltarule.explain.exam.sheets import label
from deltarule.optim.exam import TOPICS

# Pyslet calls old names of its own functions.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.* is deprecated, use:DeprecationWarning"
)
pytest.importorskip(
    "pyslet.qtiv2.xml", reason="Pyslet, a reader of QTI, is not installed"
)


@pytest.fixture(scope="module", params=list(TOPICS))
def exam(request):
    return dr.exam(request.param, seed=7, variants=2)


def files(exam, format_):
    with zipfile.ZipFile(io.BytesIO(FORMATS[format_](exam.title, exam.sheets))) as read:
        return {name: read.read(name).decode() for name in read.namelist()}


def parsed(text, version):
    """Parse a document; whatever the content model does not allow is an error."""
    found = []
    if version == 2:
        from pyslet.qtiv2.xml import QTIDocument
    else:
        from pyslet.qtiv1.xml import QTIDocument

    class Document(QTIDocument):
        def validation_error(self, msg, element, data=None, aname=None):
            found.append((type(element).__name__, msg, data, aname))

    document = Document()
    document.read(src=text)
    assert not found
    return document.root


def score(item, answers):
    """Run the response processing of an item on answers by the names of their responses."""
    from pyslet.qtiv2.expressions import Equal
    from pyslet.qtiv2.variables import ItemSessionState

    for equal in item.find_children_depth_first(Equal):
        if isinstance(equal.tolerance, str):  # a list, which this reader keeps as text
            equal.tolerance = equal.tolerance.split()
    session = ItemSessionState(item)
    session.begin_session()
    for name, answer in answers.items():
        session.map[name].set_value(answer)
    session.end_attempt()
    return session["SCORE"].value


def right_answers(item):
    return {
        declared.identifier: str(declared.get_correct_value().value)
        for declared in item.ResponseDeclaration
        if declared.get_correct_value().value is not None
    }


def worth(question):
    """Return the points that need no human scorer."""
    return sum(
        item.points
        for item in question.items
        if isinstance(item.response, Numbers | Choice)
    )


def items(exam):
    found = files(exam, "qti")
    for variant, sheet in enumerate(exam.sheets, start=1):
        for position, question in enumerate(sheet, start=1):
            name = f"items/variant-{variant}-question-{position}.xml"
            yield question, parsed(found[name], 2)


def test_right_answers_score_all_points_and_no_answer_none(exam):
    for question, item in items(exam):
        answers = right_answers(item)
        assert score(item, answers) == pytest.approx(worth(question))
        assert score(item, {}) == 0


def numbers(question):
    """Return the numbers of a question by the names of their responses."""
    return {
        "_".join(["RESPONSE", label(index), *filter(None, position.split(","))]): value
        for index, item in enumerate(question.items)
        if isinstance(item.response, Numbers)
        for position, value in item.response.entries()
    }


def test_answers_within_the_tolerance_score_and_beyond_it_do_not(exam):
    for question, item in items(exam):
        wanted = sum(
            part.points for part in question.items if isinstance(part.response, Numbers)
        )
        for share, points in ((0.9, wanted), (-0.9, wanted), (1.1, 0), (-1.1, 0)):
            moved = {
                name: str(value + share * tolerance(value))
                for name, value in numbers(question).items()
            }
            assert score(item, moved) == pytest.approx(points), question.text


def test_a_wrong_option_scores_nothing(exam):
    for question, item in items(exam):
        choices = [
            part.response
            for part in question.items
            if isinstance(part.response, Choice)
        ]
        names = [n for n, v in right_answers(item).items() if v.startswith("option-")]
        for name, choice in zip(names, choices, strict=True):
            for index in range(len(choice.options)):
                points = score(item, {name: f"option-{index + 1}"})
                assert (points > 0) == (index == choice.correct)


def test_the_package_has_its_tests_with_their_items(exam):
    from pyslet.imscpv1p2 import ManifestDocument

    found = files(exam, "qti")
    manifest = ManifestDocument()
    manifest.read(src=found["imsmanifest.xml"])
    resources = {resource.id: resource for resource in manifest.root.Resources.Resource}
    tests = [r for r in resources.values() if r.type == "imsqti_test_xmlv2p1"]
    assert len(tests) == len(exam.sheets)
    for resource, sheet in zip(tests, exam.sheets, strict=True):
        entry = str(resource.get_entry_point().href)
        part = parsed(found[entry], 2).TestPart[0]
        referred = [
            str(reference.href).replace("../", "")
            for reference in part.AssessmentSection[0].SectionPart
        ]
        needed = [str(resources[d.identifierref].href) for d in resource.Dependency]
        assert len(sheet) == len(referred) and referred == needed
        assert set(referred) <= set(found)


def test_quizzes_of_canvas_follow_the_content_model_of_qti_1(exam):
    found = files(exam, "canvas")
    quizzes = [name for name in found if name != "imsmanifest.xml"]
    assert len(quizzes) == len(exam.sheets)
    for name in quizzes:
        assert parsed(found[name], 1).Assessment.ident == name.partition("/")[0]
