"""QTI 1.2 package for Canvas: a quiz for each variant, read by Classic Quizzes and by New Quizzes.

Each question begins with a text; each entry is a numerical question with a margin, options are multiple choice,
formulas and words are essays with the key as comment. Formulas are LaTeX, which Canvas displays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from deltarule.explain.exam.exports.parts import (
    HEADER,
    archive,
    asked,
    formula,
    groups,
    number,
    stem,
)
from deltarule.explain.exam.questions import Question
from deltarule.explain.exam.responses import Choice, tolerance

NAMESPACE = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
_PACKAGE = "http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1"


def write(title: str, sheets: Sequence[Sequence[Question]]) -> bytes:
    """Return a ZIP package with a quiz for each variant.

    >>> from deltarule.explain.exam.questions import number_item
    >>> from deltarule.render.mathematics import identifier
    >>> question = Question("What is 1 + 1?", (), (number_item(identifier("x"), 2),), "by counting")
    >>> write("Sums", [[question]])[:2]
    b'PK'
    """
    files = {}
    for variant, sheet in enumerate(sheets, start=1):
        name = f"variant-{variant}"
        files[f"{name}/{name}.xml"] = _quiz(name, f"{title}, variant {variant}", sheet)
    resources = "".join(
        f'<resource identifier="{path.rpartition("/")[2].removesuffix(".xml")}" '
        f'type="imsqti_xmlv1p2"><file href="{path}"/></resource>'
        for path in files
    )
    manifest = (
        f'{HEADER}<manifest identifier="exam" xmlns="{_PACKAGE}">'
        "<metadata><schema>IMS Content</schema><schemaversion>1.1.3</schemaversion></metadata>"
        f"<organizations/><resources>{resources}</resources></manifest>\n"
    )
    return archive({"imsmanifest.xml": manifest, **files})


def _quiz(identifier: str, title: str, sheet: Sequence[Question]) -> str:
    items = "".join(
        item
        for position, question in enumerate(sheet, start=1)
        for item in _items(f"{identifier}-{position}", str(position), question)
    )
    return (
        f'{HEADER}<questestinterop xmlns="{NAMESPACE}">'
        f'<assessment ident="{identifier}" title="{escape(title)}">'
        f'<section ident="root_section">{items}</section></assessment></questestinterop>\n'
    )


def _items(identifier: str, position: str, question: Question) -> Iterator[str]:
    found = groups(question)
    text = stem(question)
    yield _item(identifier, position, "text_only_question", 0.0, text)
    for letter, item, response in found.numbers:
        entries = response.entries()
        for place, value in entries:
            name = "-".join([identifier, letter, *filter(None, place.split(","))])
            body = f"<p>{position}{asked(letter, item, place)}</p>"
            yield _item(
                name,
                f"{position}{letter} {place}".strip(),
                "numerical_question",
                item.points / len(entries),
                body,
                '<response_str ident="response1" rcardinality="Single"><render_fib fibtype="Decimal">'
                '<response_label ident="answer1"/></render_fib></response_str>',
                _within(value),
            )
    for letter, item, choice in found.choices:
        yield _item(
            f"{identifier}-{letter}",
            f"{position}{letter}",
            "multiple_choice_question",
            item.points,
            f"<p>{position}{asked(letter, item)}</p>",
            _options(choice),
            f'<varequal respident="response1">{choice.correct + 1}</varequal>',
            formula(item.answer),
        )
    for letter, item in found.written:
        yield _item(
            f"{identifier}-{letter}",
            f"{position}{letter}",
            "essay_question",
            item.points,
            f"<p>{position}{asked(letter, item)}</p>",
            '<response_str ident="response1" rcardinality="Single"><render_fib>'
            '<response_label ident="answer1" rshuffle="No"/></render_fib></response_str>',
            "",
            formula(item.answer),
        )


def _within(value: float) -> str:
    """Return the condition that an answer is the value or within its tolerance."""
    size = tolerance(value)
    return (
        f'<or><varequal respident="response1">{number(value)}</varequal><and>'
        f'<vargte respident="response1">{number(value - size)}</vargte>'
        f'<varlte respident="response1">{number(value + size)}</varlte></and></or>'
    )


def _options(choice: Choice) -> str:
    labels = "".join(
        f'<response_label ident="{index}"><material><mattext texttype="text/plain">'
        f"{escape(option)}</mattext></material></response_label>"
        for index, option in enumerate(choice.options, start=1)
    )
    return (
        '<response_lid ident="response1" rcardinality="Single">'
        f"<render_choice>{labels}</render_choice></response_lid>"
    )


def _item(
    identifier: str,
    title: str,
    kind: str,
    points: float,
    body: str,
    response: str = "",
    condition: str = "",
    comment: str = "",
) -> str:
    fields = "".join(
        f"<qtimetadatafield><fieldlabel>{label}</fieldlabel><fieldentry>{entry}</fieldentry></qtimetadatafield>"
        for label, entry in (
            ("question_type", kind),
            ("points_possible", f"{points:.10g}"),
        )
    )
    feedback = link = ""
    if comment:
        link = '<displayfeedback feedbacktype="Response" linkrefid="general_fb"/>'
        feedback = f'<itemfeedback ident="general_fb"><flow_mat>{_material(comment)}</flow_mat></itemfeedback>'
    shown = (
        f'<respcondition continue="Yes"><conditionvar><other/></conditionvar>{link}</respcondition>'
        if link
        else ""
    )
    scored = (
        f'<respcondition continue="No"><conditionvar>{condition}</conditionvar>'
        '<setvar action="Set" varname="SCORE">100</setvar></respcondition>'
        if condition
        else ""
    )
    processing = (
        '<resprocessing><outcomes><decvar maxvalue="100" minvalue="0" varname="SCORE" vartype="Decimal"/>'
        f"</outcomes>{shown}{scored}</resprocessing>"
        if response
        else ""
    )
    return (
        f'<item ident="{identifier}" title="{escape(title)}"><itemmetadata><qtimetadata>{fields}'
        f"</qtimetadata></itemmetadata><presentation>{_material(body)}{response}</presentation>"
        f"{processing}{feedback}</item>"
    )


def _material(html: str) -> str:
    return f'<material><mattext texttype="text/html">{escape(html, quote=False)}</mattext></material>'
