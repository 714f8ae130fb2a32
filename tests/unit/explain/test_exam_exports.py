"""Exports of exams: Moodle XML by a public parser, GIFT, QTI 2.1 and QTI 1.2 by strict structural checks."""

from __future__ import annotations

import io
import re
import zipfile
from xml.etree import ElementTree

import pytest

import deltarule as dr
from deltarule.explain.exam.exports import FORMATS
from deltarule.explain.exam.responses import Numbers
from deltarule.optim.exam import TOPICS

QTI = "{http://www.imsglobal.org/xsd/imsqti_v2p1}"
MATHML = "{http://www.w3.org/1998/Math/MathML}"
PACKAGE = "{http://www.imsglobal.org/xsd/imscp_v1p1}"
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # NCName in ASCII


@pytest.fixture(scope="module", params=list(TOPICS))
def exam(request):
    return dr.exam(request.param, seed=7, variants=2)


def written(exam, format_):
    return FORMATS[format_](exam.title, exam.sheets)


def numbers(exam):
    return [
        value
        for question in exam.questions
        for item in question.items
        if isinstance(item.response, Numbers)
        for _, value in item.response.entries()
    ]


def test_the_same_exam_gives_the_same_bytes(exam, tmp_path):
    for format_ in FORMATS:
        first = exam.export(format_, tmp_path / "first").read_bytes()
        assert first == exam.export(format_, tmp_path / "second").read_bytes()


# ---------------------------------------------------------------- Moodle XML

CHILDREN = {  # of a question, after the documentation of the format
    "cloze": [],
    "truefalse": ["answer"],
    "multichoice": ["single", "shuffleanswers", "answernumbering", "answer"],
    "essay": [
        "responseformat",
        "responserequired",
        "responsefieldlines",
        "attachments",
        "attachmentsrequired",
        "graderinfo",
        "responsetemplate",
    ],
}
COMMON = [
    "name",
    "questiontext",
    "generalfeedback",
    "defaultgrade",
    "penalty",
    "hidden",
]


def test_moodle_xml_has_the_documented_structure(exam):
    root = ElementTree.fromstring(written(exam, "moodle"))
    assert root.tag == "quiz"
    for question in root:
        kind = question.get("type")
        if kind == "category":
            text = question.findtext("category/text")
            assert text is not None and text.startswith("$course$/top/")
            continue
        tags = [child.tag for child in question]
        assert tags[: len(COMMON)] == COMMON
        assert set(tags[len(COMMON) :]) <= set(CHILDREN[kind])
        assert set(CHILDREN[kind]) - {"answer"} <= set(tags)
        assert float(question.findtext("defaultgrade")) > 0
        for text in question.findall(".//questiontext/text"):
            ElementTree.fromstring(f"<div>{text.text}</div>")  # well-formed HTML
        fractions = [answer.get("fraction") for answer in question.findall("answer")]
        assert not fractions or sorted(fractions, key=int)[-2:] == ["0", "100"]


def test_moodle_xml_is_read_by_a_public_parser(exam):
    parser = pytest.importorskip("moodle_xml_parser.parser")
    found = parser.parse_bytes(written(exam, "moodle"))
    gaps = [
        gap
        for question in found["cloze"]
        for gap in question.gaps
        if gap.sub_type == "NUMERICAL"
    ]
    read = [float(gap.options[0].answer.split(":")[0]) for gap in gaps]
    wanted = sorted(numbers(exam))
    assert sorted(read) == pytest.approx(wanted, rel=1e-7)
    assert all(gap.options[0].score == 100 and gap.sub_grade >= 1 for gap in gaps)


def test_weights_of_cloze_fields_follow_the_points():
    exam = dr.exam("normalization", seed=0)
    text = written(exam, "moodle").decode()
    weights = [int(weight) for weight in re.findall(r"\{(\d+):NUMERICAL", text)]
    assert weights == [4, 4, 1, 1, 1, 1]  # μ, σ² and the four entries of y


# ---------------------------------------------------------------- GIFT

ANSWER = re.compile(
    r"#-?\d+(\.\d+)?:\d+(\.\d+)?|(TRUE|FALSE)####.+|####.+|([=~].+)+", re.DOTALL
)


def test_gift_has_one_well_formed_answer_for_each_question(exam):
    text = written(exam, "gift").decode()
    blocks = [block for block in text.split("\n\n") if block.strip()]
    questions = [block for block in blocks if not block.startswith("$CATEGORY: ")]
    read = []
    for block in questions:
        assert "\n" not in block.strip()
        match = re.fullmatch(
            r"::((?:[^\\:]|\\.)+)::((?:[^\\{}]|\\.)+) \{((?:[^\\{}]|\\.)*)\}",
            block.strip(),
        )
        assert match, block
        assert ANSWER.fullmatch(match[3]), match[3]
        for special in "~=#":
            assert not re.search(rf"(?<!\\){special}", match[2])
        if match[3].startswith("#") and not match[3].startswith("##"):
            read.append(float(match[3][1:].split(":")[0]))
    assert sorted(read) == pytest.approx(sorted(numbers(exam)), rel=1e-7)


# ---------------------------------------------------------------- QTI 2.1

# The content model of the specification for the elements that the export uses: allowed children in order.
MODEL = {
    "assessmentItem": [
        "responseDeclaration",
        "outcomeDeclaration",
        "itemBody",
        "responseProcessing",
    ],
    "responseDeclaration": ["correctResponse"],
    "correctResponse": ["value"],
    "outcomeDeclaration": ["defaultValue"],
    "defaultValue": ["value"],
    "responseProcessing": ["responseCondition"],
    "responseCondition": ["responseIf"],
    "choiceInteraction": ["prompt", "simpleChoice"],
    "extendedTextInteraction": ["prompt"],
    "assessmentTest": ["outcomeDeclaration", "testPart", "outcomeProcessing"],
    "testPart": ["assessmentSection"],
    "assessmentSection": ["assessmentItemRef"],
}
BLOCKS = {"p", "choiceInteraction", "extendedTextInteraction", "rubricBlock"}
INLINE = {"textEntryInteraction", "br", MATHML}
REQUIRED = {
    "assessmentItem": {"identifier", "title", "adaptive", "timeDependent"},
    "responseDeclaration": {"identifier", "cardinality", "baseType"},
    "outcomeDeclaration": {"identifier", "cardinality", "baseType"},
    "textEntryInteraction": {"responseIdentifier"},
    "choiceInteraction": {"responseIdentifier", "shuffle", "maxChoices"},
    "extendedTextInteraction": {"responseIdentifier"},
    "simpleChoice": {"identifier"},
    "rubricBlock": {"view"},
    "equal": {"toleranceMode", "tolerance"},
    "assessmentTest": {"identifier", "title"},
    "testPart": {"identifier", "navigationMode", "submissionMode"},
    "assessmentSection": {"identifier", "title", "visible"},
    "assessmentItemRef": {"identifier", "href"},
}


def names(element):
    return [
        child.tag.removeprefix(QTI) if child.tag.startswith(QTI) else MATHML
        for child in element
    ]


def check(element):
    """Check the children, their order and the attributes of an element and all below it."""
    if not element.tag.startswith(QTI):
        return
    name = element.tag.removeprefix(QTI)
    assert REQUIRED.get(name, set()) <= set(element.attrib), name
    if name in MODEL:
        order = [MODEL[name].index(child) for child in names(element)]
        assert order == sorted(order), name
    if name == "itemBody":
        assert set(names(element)) <= BLOCKS
    if name in {"p", "prompt"}:
        assert set(names(element)) <= INLINE
    if name == "rubricBlock":
        assert set(names(element)) == {"p"} and element.get("view") == "scorer"
    for child in element:
        check(child)


def files(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_qti_items_and_tests_follow_the_specification(exam):
    found = files(written(exam, "qti"))
    items = [name for name in found if name.startswith("items/")]
    assert len(items) == len(exam.questions)
    for path in items:
        item = ElementTree.fromstring(found[path])
        check(item)
        declared = [
            d.get("identifier") for d in item.findall(f"{QTI}responseDeclaration")
        ]
        used = [
            e.get("responseIdentifier")
            for e in item.iter()
            if e.get("responseIdentifier")
        ]
        assert sorted(declared) == sorted(used) and len(set(declared)) == len(declared)
        assert all(IDENTIFIER.fullmatch(name) for name in declared)
        scored = {e.get("identifier") for e in item.iter(f"{QTI}correct")}
        assert scored <= set(declared)
        gained = [float(v.text) for v in item.iter(f"{QTI}baseValue")]
        outcomes = {
            o.get("identifier"): float(o.findtext(f"{QTI}defaultValue/{QTI}value"))
            for o in item.findall(f"{QTI}outcomeDeclaration")
        }
        assert outcomes["SCORE"] == 0
        if scored == set(declared):
            assert sum(gained) == pytest.approx(outcomes["MAXSCORE"])


def test_the_manifest_of_qti_lists_every_file(exam):
    found = files(written(exam, "qti"))
    manifest = ElementTree.fromstring(found["imsmanifest.xml"])
    assert [child.tag for child in manifest] == [
        PACKAGE + name for name in ("metadata", "organizations", "resources")
    ]
    resources = list(manifest.iter(f"{PACKAGE}resource"))
    hrefs = {r.get("href"): r.get("type") for r in resources}
    assert set(hrefs) == set(found) - {"imsmanifest.xml"}
    identifiers = {r.get("identifier") for r in resources}
    assert len(identifiers) == len(resources)
    for dependency in manifest.iter(f"{PACKAGE}dependency"):
        assert dependency.get("identifierref") in identifiers
    tests = [path for path, kind in hrefs.items() if kind == "imsqti_test_xmlv2p1"]
    assert len(tests) == len(exam.sheets)
    for path in tests:
        test = ElementTree.fromstring(found[path])
        check(test)
        for reference in test.iter(f"{QTI}assessmentItemRef"):
            assert reference.get("href").removeprefix("../") in found


def test_correct_responses_of_qti_are_the_key(exam):
    found = files(written(exam, "qti"))
    read = []
    for path, content in found.items():
        if path.startswith("items/"):
            for declared in ElementTree.fromstring(content).findall(
                f"{QTI}responseDeclaration[@baseType='float']"
            ):
                read.append(float(declared.findtext(f".//{QTI}value")))
    assert sorted(read) == pytest.approx(sorted(numbers(exam)), rel=1e-7)


# ---------------------------------------------------------------- Canvas

KINDS = {
    "text_only_question",
    "numerical_question",
    "multiple_choice_question",
    "essay_question",
}


def test_canvas_quizzes_have_points_and_margins(exam):
    found = files(written(exam, "canvas"))
    quizzes = [path for path in found if path != "imsmanifest.xml"]
    assert len(quizzes) == len(exam.sheets)
    for path, sheet in zip(sorted(quizzes), exam.sheets, strict=True):
        root = ElementTree.fromstring(re.sub(rb' xmlns="[^"]+"', b"", found[path]))
        points = 0.0
        for item in root.iter("item"):
            fields = {
                f.findtext("fieldlabel"): f.findtext("fieldentry")
                for f in item.iter("qtimetadatafield")
            }
            assert fields["question_type"] in KINDS
            points += float(fields["points_possible"])
            if fields["question_type"] == "numerical_question":
                low, value, high = (
                    float(item.findtext(f".//{tag}"))
                    for tag in ("vargte", "varequal", "varlte")
                )
                assert low < value < high
            for text in item.iter("mattext"):
                if text.get("texttype") == "text/html":
                    ElementTree.fromstring(f"<div>{text.text}</div>")
        assert points == pytest.approx(sum(question.points for question in sheet))
