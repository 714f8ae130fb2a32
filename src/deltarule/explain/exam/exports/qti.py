"""QTI 2.1 content package: an assessment item for each question, an assessment test for each variant.

Numbers are text entries that are compared with a tolerance, options are choices, formulas and words are extended text
for a human scorer, who finds the key in a rubric. Formulas are MathML. Specification: IMS Question and Test
Interoperability 2.1, Final (2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from deltarule.explain.exam.exports.parts import HEADER, archive, groups, number
from deltarule.explain.exam.questions import Item, Question, points_text
from deltarule.explain.exam.responses import Choice, Numbers, tolerance
from deltarule.render import mathematics as m

NAMESPACE = "http://www.imsglobal.org/xsd/imsqti_v2p1"
_SCHEMA = f"{NAMESPACE} http://www.imsglobal.org/xsd/qti/qtiv2p1/imsqti_v2p1.xsd"
_PACKAGE = "http://www.imsglobal.org/xsd/imscp_v1p1"
_INSTANCE = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def write(title: str, sheets: Sequence[Sequence[Question]]) -> bytes:
    """Return a ZIP package with the items and tests of all variants.

    >>> from deltarule.explain.exam.questions import number_item
    >>> from deltarule.render.mathematics import identifier
    >>> question = Question("What is 1 + 1?", (), (number_item(identifier("x"), 2),), "by counting")
    >>> write("Sums", [[question]])[:2]
    b'PK'
    """
    files: dict[str, str] = {}
    tests: dict[str, list[str]] = {}
    for variant, sheet in enumerate(sheets, start=1):
        paths = []
        for position, question in enumerate(sheet, start=1):
            identifier = f"variant-{variant}-question-{position}"
            path = f"items/{identifier}.xml"
            name = f"{title} {position}, variant {variant}"
            files[path] = _item(identifier, name, question)
            paths.append(path)
        test = f"tests/variant-{variant}.xml"
        files[test] = _test(f"variant-{variant}", f"{title}, variant {variant}", paths)
        tests[test] = paths
    return archive({"imsmanifest.xml": _manifest(files, tests), **files})


# ---------------------------------------------------------------- package


def _manifest(files: dict[str, str], tests: dict[str, list[str]]) -> str:
    resources = []
    for path in files:
        kind = "imsqti_test_xmlv2p1" if path in tests else "imsqti_item_xmlv2p1"
        needed = "".join(
            f'<dependency identifierref="{_identifier(item)}"/>'
            for item in tests.get(path, [])
        )
        resources.append(
            f'<resource identifier="{_identifier(path)}" type="{kind}" href="{path}">'
            f'<file href="{path}"/>{needed}</resource>'
        )
    return (
        f'{HEADER}<manifest xmlns="{_PACKAGE}" {_INSTANCE} identifier="exam" '
        f'xsi:schemaLocation="{_PACKAGE} http://www.imsglobal.org/xsd/qti/qtiv2p1/qtiv2p1_imscpv1p2_v1p0.xsd">'
        "<metadata><schema>QTIv2.1 Package</schema><schemaversion>1.0.0</schemaversion></metadata>"
        f"<organizations/><resources>{''.join(resources)}</resources></manifest>\n"
    )


def _identifier(path: str) -> str:
    return "resource-" + path.rpartition("/")[2].removesuffix(".xml")


def _test(identifier: str, title: str, paths: Sequence[str]) -> str:
    references = "".join(
        f'<assessmentItemRef identifier="item-{position}" href="../{path}"/>'
        for position, path in enumerate(paths, start=1)
    )
    total = (
        '<outcomeProcessing><setOutcomeValue identifier="SCORE"><sum>'
        '<testVariables variableIdentifier="SCORE"/></sum></setOutcomeValue></outcomeProcessing>'
    )
    return (
        f"{HEADER}<assessmentTest {_root(identifier, title)}>"
        '<outcomeDeclaration identifier="SCORE" cardinality="single" baseType="float"/>'
        '<testPart identifier="part" navigationMode="nonlinear" submissionMode="simultaneous">'
        f'<assessmentSection identifier="section" title="{escape(title)}" visible="true">'
        f"{references}</assessmentSection></testPart>{total}</assessmentTest>\n"
    )


def _root(identifier: str, title: str) -> str:
    return (
        f'xmlns="{NAMESPACE}" {_INSTANCE} xsi:schemaLocation="{_SCHEMA}" '
        f'identifier="{identifier}" title="{escape(title)}"'
    )


# ---------------------------------------------------------------- items


class _Body:
    """The parts of an assessment item, collected from the items of a question."""

    def __init__(self) -> None:
        self.declarations: list[str] = []
        self.blocks: list[str] = []
        self.scoring: list[str] = []

    def numbers(self, letter: str, item: Item, response: Numbers) -> None:
        """Add text entries for numbers."""
        entries, fields = response.entries(), []
        for position, value in entries:
            name = "_".join(["RESPONSE", letter, *position.split(",")]).rstrip("_")
            self._declare(name, "float", number(value))
            fields.append(
                f'<textEntryInteraction responseIdentifier="{name}" expectedLength="12"/>'
            )
            size = number(tolerance(value))
            test = (
                f'<equal toleranceMode="absolute" tolerance="{size} {size}">'
                f'<variable identifier="{name}"/><correct identifier="{name}"/></equal>'
            )
            self._score(test, item.points / len(entries))
        rows = _lines(entries, fields)
        self.blocks.append(
            f"<p>{letter}) {_formula(item.asked)} = {'<br/>'.join(rows)}</p>"
        )

    def choice(self, letter: str, item: Item, choice: Choice) -> None:
        """Add a choice of one option."""
        name = f"RESPONSE_{letter}"
        self._declare(name, "identifier", f"option-{choice.correct + 1}")
        options = "".join(
            f'<simpleChoice identifier="option-{index}">{escape(option)}</simpleChoice>'
            for index, option in enumerate(choice.options, start=1)
        )
        before, prompt = _prompt(letter, item)
        self.blocks.append(
            f'{before}<choiceInteraction responseIdentifier="{name}" shuffle="false" maxChoices="1">'
            f"{prompt}{options}</choiceInteraction>"
        )
        self._rubric(letter, item)
        test = f'<match><variable identifier="{name}"/><correct identifier="{name}"/></match>'
        self._score(test, item.points)

    def written(self, letter: str, item: Item) -> None:
        """Add a field for a formula or words, with the key for the scorer."""
        name = f"RESPONSE_{letter}"
        self.declarations.append(
            f'<responseDeclaration identifier="{name}" cardinality="single" baseType="string"/>'
        )
        before, prompt = _prompt(letter, item)
        self.blocks.append(
            f'{before}<extendedTextInteraction responseIdentifier="{name}" expectedLines="3">'
            f"{prompt}</extendedTextInteraction>"
        )
        self._rubric(letter, item)

    def _rubric(self, letter: str, item: Item) -> None:
        self.blocks.append(
            f'<rubricBlock view="scorer"><p>{letter}) {_formula(item.answer)} '
            f"({points_text(item.points)})</p></rubricBlock>"
        )

    def _declare(self, name: str, base: str, value: str) -> None:
        self.declarations.append(
            f'<responseDeclaration identifier="{name}" cardinality="single" baseType="{base}">'
            f"<correctResponse><value>{value}</value></correctResponse></responseDeclaration>"
        )

    def _score(self, test: str, points: float) -> None:
        self.scoring.append(
            f'<responseCondition><responseIf>{test}<setOutcomeValue identifier="SCORE"><sum>'
            f'<variable identifier="SCORE"/><baseValue baseType="float">{points:.10g}</baseValue>'
            "</sum></setOutcomeValue></responseIf></responseCondition>"
        )


def _item(identifier: str, title: str, question: Question) -> str:
    body, found = _Body(), groups(question)
    for letter, item, response in found.numbers:
        body.numbers(letter, item, response)
    for letter, item, choice in found.choices:
        body.choice(letter, item, choice)
    for letter, item in found.written:
        body.written(letter, item)
    given = "".join(f"<p>{_formula(part)}</p>" for part in question.given)
    processing = "".join(body.scoring)
    if processing:
        processing = f"<responseProcessing>{processing}</responseProcessing>"
    return (
        f'{HEADER}<assessmentItem {_root(identifier, title)} adaptive="false" timeDependent="false">'
        f"{''.join(body.declarations)}{_outcome('SCORE', 0.0)}{_outcome('MAXSCORE', question.points)}"
        f"<itemBody><p>{escape(question.text)}</p>{given}{''.join(body.blocks)}</itemBody>"
        f"{processing}</assessmentItem>\n"
    )


def _outcome(name: str, value: float) -> str:
    return (
        f'<outcomeDeclaration identifier="{name}" cardinality="single" baseType="float">'
        f"<defaultValue><value>{value:.10g}</value></defaultValue></outcomeDeclaration>"
    )


def _lines(entries: Sequence[tuple[str, float]], fields: Sequence[str]) -> list[str]:
    """Return the fields by rows of a matrix; a vector is one row."""
    rows: dict[str, list[str]] = {}
    for (position, _), entry in zip(entries, fields, strict=True):
        row = position.partition(",")[0] if "," in position else ""
        rows.setdefault(row, []).append(entry)
    return [" ".join(row) for row in rows.values()]


def _prompt(letter: str, item: Item) -> tuple[str, str]:
    """Return what is asked as a paragraph before the interaction or as its prompt, where not all read MathML."""
    asked = f"{letter}) {_formula(item.asked)}"
    if isinstance(item.asked, m.Text):
        return "", f"<prompt>{asked}</prompt>"
    return f"<p>{asked}</p>", ""


def _formula(formula: m.Formula) -> str:
    """Return a formula as MathML, and words as text."""
    return escape(formula.text) if isinstance(formula, m.Text) else m.to_mathml(formula)
