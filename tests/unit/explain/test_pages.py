"""Pages: golden text, width, LaTeX that compiles, HTML that stands alone, layouts, exams, optimisers, drawings."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import deltarule as dr
from deltarule.errors import ArgumentError
from deltarule.explain.derivation.derivation import Deriver
from deltarule.explain.explanation import Derivation, derive
from deltarule.explain.formula.from_graph import TRANSLATE
from deltarule.explain.formula.notation import FUNCTIONS
from deltarule.explain.formula.term import Product
from deltarule.explain.page.page import columns, entry
from deltarule.explain.proof.proof import check
from deltarule.explain.results.jacobians import hessian, jacobian
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.op import Op
from deltarule.optim.exam import TOPICS
from deltarule.optim.explanation import VARIANTS
from deltarule.render import mathematics as m
from deltarule.shapes import Dimension
from deltarule.tensor.explain import run, value_sampler


def inputs(**shapes):
    return [build.input_node(name, shape) for name, shape in shapes.items()]


def look():
    x, y, a, b, W1, b1, W2, b2 = inputs(
        x=(3,), y=(1,), alpha=(), beta=(), W_1=(2, 3), b_1=(2,), W_2=(1, 2), b_2=(1,)
    )
    out = f.sigmoid(
        build.add(build.matmul(W2, f.relu(build.add(build.matmul(W1, x), b1))), b2)
    )
    right = build.multiply(build.multiply(a, y), build.log(out))
    wrong = build.multiply(
        build.multiply(b, build.subtract(1, y)), build.log(build.subtract(1, out))
    )
    return build.negate(build.sum_over(build.add(right, wrong))), [W1, b1, W2, b2]


def batch():
    n = Dimension("N")
    X, Y, W1, b1, W2, b2 = inputs(
        X=(n, 4), Y=(n, 3), W_1=(5, 4), b_1=(5,), W_2=(3, 5), b_2=(3,)
    )
    hidden = build.tanh(build.add(build.matmul(X, build.matrix_transpose(W1)), b1))
    logits = build.add(build.matmul(hidden, build.matrix_transpose(W2)), b2)
    return build.mean(f.cross_entropy(logits, Y)), [W1, b1, W2, b2]


def convolutional():
    x, K, b, W, y = inputs(x=(2, 6, 6, 1), K=(3, 3, 3, 1), b=(3,), W=(4, 12), y=(2, 4))
    z = build.add(build.convolve(x, K, (1, 1), ((0, 0), (0, 0)), (1, 1)), b)
    pooled = f.max_pool(
        f.relu(z), window=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))
    )
    logits = build.matmul(build.reshape(pooled, (2, 12)), build.matrix_transpose(W))
    return build.mean(f.cross_entropy(logits, y)), [K, b, W, x]


def variational():
    x, E, V, D, noise = inputs(
        x=(4,), W_mu=(2, 4), W_s=(2, 4), W_d=(4, 2), epsilon=(2,)
    )
    mu, s = build.matmul(E, x), build.matmul(V, x)
    z = build.add(mu, build.multiply(build.exp(build.multiply(s, 0.5)), noise))
    inner = build.subtract(
        build.subtract(build.add(build.multiply(mu, mu), build.exp(s)), s), 1
    )
    divergence = build.multiply(build.sum_over(inner), 0.5)
    return build.add(
        build.sum_over(f.squared_error(build.matmul(D, z), x)), divergence
    ), [E, V, D]


def normalised():
    X, gamma, beta, Y = inputs(X=(6, 3), gamma=(3,), beta=(3,), Y=(6, 3))
    out = build.add(
        build.multiply(f.normalize(X, axes=(0,), epsilon=1e-5), gamma), beta
    )
    return build.sum_over(f.squared_error(out, Y)), [X, gamma, beta]


def residual():
    x, W1, W2, y = inputs(x=(3,), W_1=(3, 3), W_2=(3, 3), y=(3,))
    h = build.add(x, f.gelu(build.matmul(W1, x), approximate=False))
    out = build.add(h, f.relu(build.matmul(W2, h)))
    return build.sum_over(f.squared_error(out, y)), [W1, W2]


def dropped():
    x, W1, W2, mask, y = inputs(x=(3,), W_1=(4, 3), W_2=(1, 4), m=(4,), y=(1,))
    kept = build.divide(build.multiply(mask, f.relu(build.matmul(W1, x))), 0.8)
    return build.sum_over(f.binary_cross_entropy(build.matmul(W2, kept), y)), [W1, W2]


NETWORKS = {
    fn.__name__: fn
    for fn in (look, batch, convolutional, variational, normalised, residual, dropped)
}


def written(name, **options) -> Derivation:
    loss, wrt = NETWORKS[name]()
    return derive(loss, wrt, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_golden_text(name, golden):
    golden(f"derivation_{name}", str(written(name)))


@pytest.mark.parametrize("detail", ["answers", "steps", "every"])
@pytest.mark.parametrize("layout", ["denominator", "numerator"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_printed_line_is_proved_and_fits(name, layout, detail):
    d = written(name, layout=layout, detail=detail, evaluate=run, draw=value_sampler(1))
    report = d.check(points=4)
    assert report, str(report)
    assert report.max_error < 1e-6
    assert all(columns(line) <= 100 for line in str(d).splitlines())
    assert str(d).splitlines()[-1].endswith("(engine)")


def test_the_numerator_layout_is_the_transpose():
    first = written("look", evaluate=run)
    second = written("look", layout="numerator", evaluate=run)
    values = {
        "x": [1, 2, -1],
        "y": [1],
        "alpha": 1,
        "beta": 10,
        "W_1": [[1, -1, 0.5], [-0.5, 2, 1]],
        "b_1": [0.1, -0.2],
        "W_2": [[0.5, -1.5]],
        "b_2": [0.3],
    }
    np.testing.assert_allclose(
        first.at(values)["dL/dW_1"], second.at(values)["dL/dW_1"].T
    )
    lines = str(second).splitlines()
    assert any("∂L/∂W₁ = xδ₁" in line for line in lines)
    assert any("δ₂W₂ diag(𝟙(z₁ > 0))" in line for line in lines)


def test_a_wrong_line_is_never_printed_as_proved():
    loss, wrt = look()
    derived = Deriver(loss, wrt, {}, "denominator", "steps").derive()
    for position, line in enumerate(derived.backward):
        if isinstance(line.term, Product) or len(line.shape) == 2:
            scaled = Product(2, ((line.term, 1),), line.term.shape)
            spoiled = type(line)(**{**line.__dict__, "term": scaled})
            report = check(derived, [spoiled], ["line"], run, value_sampler(0), 4)
            assert not report and report.summary.startswith("NOT proved"), position


@pytest.mark.notes("BP-08", "BP-10")
def test_index_notation():
    lines = written("look").components().splitlines()
    assert lines[-1].strip() == "7  (∂L/∂W₁)ᵢⱼ = (δ₁)ᵢ xⱼ"
    assert "(∂L/∂W₂)ᵢⱼ = Σₖ (Δ₂)ₖᵢ (A₁)ₖⱼ" in written("batch").components()
    assert "(∂L/∂b₂)ᵢ = Σₖ (Δ₂)ₖᵢ" in written("batch").components()


@pytest.mark.notes("BP-09", "NN-20")
def test_named_styles():
    row = str(written("look", style="row", layout="numerator"))
    assert "S₀ = W₁x + b₁" in row and "∂L/∂S₀ = δ₁W₂ diag(𝟙(S₀ > 0))   =: δ₀" in row
    assert "x₁ = W₁x + b₁" in str(written("look", style="sums"))
    with pytest.raises(ArgumentError, match="style"):
        written("look", style="nonsense")


def test_values_are_printed_as_matrices():
    d = written("look", evaluate=run)
    at = d.at(
        {
            "x": [1, 2, -1],
            "y": [1],
            "alpha": 1,
            "beta": 10,
            "W_1": [[1, -1, 0.5], [-0.5, 2, 1]],
            "b_1": [0.1, -0.2],
            "W_2": [[0.5, -1.5]],
            "b_2": [0.3],
        }
    )
    assert "⎝  1.43836   2.87673  −1.43836 ⎠" in str(at) and "(−1.4, 2.3)ᵀ" in str(at)
    with pytest.raises(ArgumentError, match="names among"):
        d.at({"nonsense": 1})


# ---------------------------------------------------------------- LaTeX and HTML


def _katex() -> str | None:
    """Return where KaTeX is installed: node_modules beside the project, or the folder that KATEX names."""
    places = [
        Path(__file__).parents[3] / "node_modules" / "katex",
        Path(os.environ.get("KATEX", "none")),
    ]
    return next((str(place) for place in places if place.exists()), None)


@pytest.mark.skipif(
    shutil.which("node") is None or _katex() is None,
    reason="needs node and katex (npm install katex)",
)
def test_latex_compiles():
    sources = []
    for name in NETWORKS:
        for layout in ("denominator", "numerator"):
            text = written(name, layout=layout).latex()
            sources += [
                part for part in text.replace("\\]", "\\[").split("\\[") if part.strip()
            ]
    for topic in TOPICS:
        for question in dr.exam(topic).questions:
            sources += [m.to_latex(item.answer) for item in question.items] + [
                m.to_latex(g) for g in question.given
            ]
    script = (
        f"const k=require({json.dumps(_katex())});const s=JSON.parse(require('fs').readFileSync(0));"
        "for(const t of s){for(const p of t.split(/(?=\\\\begin\\{align\\*\\})/)){"
        "if(p.trim()&&!p.trim().startsWith('%'))"
        "k.renderToString(p.replace(/^%.*$/mg,''),{displayMode:true,throwOnError:true,"
        "strict:(c)=>c==='unicodeTextInMathMode'?'error':'ignore'})}}"
    )
    done = subprocess.run(
        ["node", "-e", script],
        input=json.dumps(sources),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:2000]


def test_latex_has_the_structure_that_tex_asks_for(read_latex):
    for name in NETWORKS:
        for layout in ("denominator", "numerator"):
            read_latex(written(name, layout=layout).latex())
            read_latex(
                written(name, layout=layout)
                .latex(standalone=True)
                .split("begin{document}")[1][:-16]
            )
    for topic in TOPICS:
        for question in dr.exam(topic).questions:
            for formula in (*question.given, *(item.answer for item in question.items)):
                read_latex(m.to_latex(formula))


def tags(page: str) -> set[str]:
    """Return the names of the elements of a page, which must be well formed."""
    root = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    return {element.tag.split("}")[1] for element in root.iter()}


@pytest.mark.parametrize("name", NETWORKS)
def test_html_stands_alone(name):
    page = written(name).html()
    seen = tags(page)
    assert "default-src" in page and 'name="viewport"' in page and "math" in seen
    assert not {"script", "link", "img", "iframe"} & seen and "://" not in page.replace(
        "http://www.w3.org", ""
    )
    for piece in page.split("<math")[1:]:
        ElementTree.fromstring("<math" + piece.split("</math>")[0] + "</math>")


def test_notebook_forms():
    d = written("look")
    assert d._repr_html_().startswith("<style>") and "align*" in d._repr_latex_()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_is_drawn(name):
    d = written(name, evaluate=run)
    root = ElementTree.fromstring(d.graph_svg())
    boxes = root.findall("{http://www.w3.org/2000/svg}rect")
    read = {s.node for s in d.derived.inputs}
    assert len(d.forward) <= len(boxes) <= len(d.forward) + len(read)


def _points(path: str) -> list[tuple[float, float]]:
    """Return points along a path of M, H and C commands, close to each other."""
    found: list[tuple[float, float]] = []
    for command, rest in re.findall(r"([MHC])([^MHC]*)", path):
        numbers = [float(value) for value in re.findall(r"-?[\d.]+", rest)]
        if command == "M":
            found.append((numbers[0], numbers[1]))
        elif command == "H":
            x, y = found[-1]
            found += [(x + (numbers[0] - x) * i / 50, y) for i in range(1, 51)]
        else:
            corners = np.array(
                [found[-1], *zip(numbers[::2], numbers[1::2], strict=True)]
            )
            for t in np.linspace(0, 1, 50)[1:]:
                weights = np.array(
                    [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]
                )
                found.append(tuple(weights @ corners))
    return found


@pytest.mark.notes("BP-01")
@pytest.mark.parametrize("name", NETWORKS)
def test_edges_run_through_no_box_and_labels_stand_at_them(name):
    root = ElementTree.fromstring(written(name).graph_svg())
    space = "{http://www.w3.org/2000/svg}"
    boxes = [
        tuple(float(rect.get(key)) for key in ("x", "y", "width", "height"))
        for rect in root.iter(f"{space}rect")
    ]
    paths = [path.get("d") for path in root.findall(f"{space}path")]
    labels = [
        text
        for text in root.findall(f"{space}text")
        if text.get("class") in {"forward", "gradient"}
    ]
    assert paths and labels
    for x, y, wide, high in boxes:
        for path in paths:
            assert not any(
                x + 1 < px < x + wide - 1 and y + 1 < py < y + high - 1
                for px, py in _points(path)
            ), path
    for i, first in enumerate(boxes):
        for second in boxes[:i]:
            apart = (
                abs(first[0] - second[0]) >= min(first[2], second[2])
                or abs(first[1] - second[1]) > first[3]
            )
            assert apart
    bends = [point for path in paths for point in _points(path) if "C" in path]
    for (
        label
    ) in labels:  # no edge turns through a label: above the straight piece, or below it
        x, y, width = (
            float(label.get("x")),
            float(label.get("y")),
            8 * columns(label.text or ""),
        )
        assert not any(x < px < x + width and y - 10 < py < y for px, py in bends), (
            label.text
        )


def test_the_graph_carries_numbers():
    drawing = written("look", evaluate=run).graph_svg(
        {
            "x": [1, 2, -1],
            "y": [1],
            "alpha": 1,
            "beta": 10,
            "W_1": [[1, -1, 0.5], [-0.5, 2, 1]],
            "b_1": [0.1, -0.2],
            "W_2": [[0.5, -1.5]],
            "b_2": [0.3],
        }
    )
    assert "(−1.4, 2.3)" in drawing and "(0, 1.4384)" in drawing


# ---------------------------------------------------------------- tables, Jacobians, exams, optimisers


def test_every_primitive_has_a_translation_and_every_function_a_notation():
    assert set(TRANSLATE) == set(Op)
    opaque = {op.name.lower() for op, rule in TRANSLATE.items() if rule is None} - {
        "call"
    }
    assert opaque <= set(FUNCTIONS)


@pytest.mark.notes(
    "C-ACT-03",
    "C-ACT-04",
    "ACT-05",
    "ACT-15",
    "LA-13",
    "LA-14",
    "LA-15",
    "LA-16",
    "LA-17",
    "C-LA-06",
)
def test_jacobians_and_hessians_in_textbook_form():
    x, A, W, X, w, y = inputs(x=(3,), A=(3, 3), W=(2, 3), X=(5, 3), w=(3,), y=(5,))
    s, share = f.sigmoid(x), f.softmax(x, axis=0)
    quadratic = build.matmul(build.matmul(x, A), x)
    cases = [
        (jacobian(s, x, names={s: "s"}), "diag(s ⊙ (1 − s))"),
        (jacobian(share, x, names={share: "S"}), "diag(S) − SSᵀ"),
        (jacobian(build.matmul(W, x), x), "Wᵀ"),
        (jacobian(build.matmul(W, x), x, layout="numerator"), "W"),
        (jacobian(f.relu(build.matmul(W, x)), x), "Wᵀ diag(𝟙(Wx > 0))"),
        (jacobian(quadratic, x), "(A + Aᵀ)x"),
        (hessian(quadratic, x), "A + Aᵀ"),
        (hessian(f.euclidean_norm(x, axes=(0,)), x), "I/‖x‖ − xxᵀ/‖x‖³"),
        (
            hessian(build.sum_over(f.binary_cross_entropy(build.matmul(X, w), y)), w),
            "Xᵀ diag(σ(Xw) ⊙ (1 − σ(Xw)))X",
        ),
        (hessian(build.sum_over(f.squared_error(build.matmul(X, w), y)), w), "XᵀX"),
    ]
    for derivative, expected in cases:
        assert derivative.formula == expected
        assert derivative.error(run, value_sampler(0)) < 1e-12
        assert derivative.latex()


@pytest.mark.notes("LA-01", "LA-02", "LA-04", "LA-09", "LA-13", "LA-24", "LA-26")
def test_identities_of_matrix_calculus():
    A, B, x, y, C = inputs(A=(3, 3), B=(3, 3), x=(3,), y=(3,), C=(3, 3))
    total = build.sum_over(x)
    cases = [
        (algebra.trace(build.matmul(A, B)), A, "Bᵀ"),
        (build.matmul(x, y), x, "y"),
        (build.matmul(x, x), x, "2x"),
        (build.log_determinant(A), A, "A⁻ᵀ"),
        (build.divide(build.sum_over(build.exp(x)), total), x, "(eˣ − L)/(Σ x)"),
        (algebra.norm(A, "fro"), A, "A/L"),  # L is the norm itself
        (f.logsumexp(x, axis=0), x, "softmax(x)"),
        (build.sum_over(build.multiply(algebra.outer(x, y), A)), x, "Ay"),
        (build.sum_over(build.power(x, 3)), x, "3x²"),
        (build.sum_over(build.multiply(build.cholesky(C), B)), C, None),
    ]
    for loss, variable, expected in cases:
        d = derive(
            loss, [variable], evaluate=run, draw=value_sampler(0), detail="answers"
        )
        assert d.check(points=5), str(d.check(points=5))
        if expected is not None:
            assert to_right(d) == expected


def to_right(derivation: Derivation) -> str:
    (line,) = derivation.steps
    return m.to_text(entry(line, "L").right)


@pytest.mark.notes("C-ACT-03", "C-ACT-04", "C-LA-06", "C-LA-07")
def test_jacobians_at_the_numbers_of_the_notes():
    x, A = inputs(x=(3,), A=(2, 2))
    share = f.softmax(x, axis=0)
    at = jacobian(share, x, names={share: "S"}).at({x: [1.0, 2.0, 3.0]}, run)
    expected = [
        [0.08192507, -0.02203304, -0.05989203],
        [-0.02203304, 0.18483645, -0.16280340],
        [-0.05989203, -0.16280340, 0.22269543],
    ]
    np.testing.assert_allclose(at, expected, atol=1e-6)
    (z,) = inputs(z=(2,))
    slope = jacobian(f.sigmoid(z), z).at({z: [0.0, 1.0]}, run)
    np.testing.assert_allclose(slope, np.diag([0.25, 0.19661193324148185]), atol=1e-7)
    (w,) = inputs(w=(2,))
    curvature = hessian(build.matmul(build.matmul(w, A), w), w).at(
        {A: [[1, 2], [3, 4]], w: [1, -2]}, run
    )
    np.testing.assert_allclose(curvature, [[2, 5], [5, 8]])


@pytest.mark.parametrize("topic", TOPICS)
def test_exams_are_reproducible_and_keep_their_answers(topic):
    first, second = (
        dr.exam(topic, seed=5, variants=2),
        dr.exam(topic, seed=5, variants=2),
    )
    assert first.key() == second.key() and len(first.sheets) == 2
    assert dr.exam(topic, seed=6).key() != dr.exam(topic, seed=5).key()
    assert "____" in first.sheet() and "____" not in first.key()
    assert all(question.verified for question in first.questions)
    page = first.html(answers=True, hints=True)
    assert (
        "prefers-color-scheme:dark" in page
        and 'name="viewport"' in page
        and "default-src" in page
    )
    has_formulas = topic != "concepts"
    assert all(("math" in tags(p)) == has_formulas for p in (page, first.html()))
    assert (
        first._repr_html_().startswith("<style>") and "<body" not in first._repr_html_()
    )
    with pytest.raises(ArgumentError):
        dr.exam("nonsense")


def test_the_pages_of_an_exam_tell_sheets_from_keys_and_variants_apart():
    found = dr.exam("networks", seed=3, variants=2)
    sheet, key = found.html(), found.html(answers=True)
    assert (
        "KEY" not in sheet
        and "<title>Networks — KEY</title>" in key
        and key.count("Variant 2 — KEY") == 1
    )
    for shown in (sheet, key):
        assert (
            shown.count('<section class="exam">') == 2
            and ".exam+.exam{break-before:page}" in shown
        )
        formulas = re.findall(r'<(?:p|div) class="row"><math', shown)
        assert len(formulas) >= 2 * 6 and ".exam .row{overflow-x:auto" in shown
    assert key.count('<p class="verified">verified: proved') == len(
        found.questions
    ) and "verified" not in tags(sheet)
    assert 'class="blank"' in sheet and 'class="blank"' not in key


def test_fragments_leave_colours_to_the_page_around_them():
    x, w = dr.symbol("x", (3,)), dr.symbol("w", (3,))
    derivation = dr.derive((w @ x) ** 2, wrt=[w])
    for shown in (derivation._repr_html_(), dr.exam("networks")._repr_html_()):
        assert (
            "prefers-color-scheme" not in shown
            and "#fff" not in shown
            and "background: #" not in shown
        )
    assert "prefers-color-scheme" in derivation.html()
    drawn = derivation.graph_svg()
    scoped = re.search("<style>(.*)</style>", drawn, re.DOTALL)[1]
    scoped = scoped.replace(
        "@media (prefers-color-scheme:dark){.dr-graph:root", ".dr-graph:root"
    )
    rules = [rule for rule in re.findall(r"([^{}]+)\{", scoped) if rule.strip()]
    assert all(".dr-graph" in part for rule in rules for part in rule.split(",")), rules
    assert "prefers-color-scheme" not in scoped


@pytest.mark.notes(
    "C-OPT-01",
    "C-OPT-02",
    "C-OPT-03",
    "C-OPT-04",
    "C-OPT-05",
    "C-OPT-06",
    "C-OPT-08",
    "C-OPT-09",
    "C-OPT-11",
    "C-OPT-13",
    "C-OPT-14",
)
@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("sgd", [-0.1, -0.05, -0.25]),
        ("momentum", [-0.1, -0.14, -0.376]),
        ("momentum_subtracted", [-0.1, -0.14, -0.376]),
        ("adagrad", [-0.0999999995, -0.0552786401289, -0.14256579614]),
        ("rmsprop", [-0.316211955814, -0.168776409761, -0.4506315409]),
        ("rmsprop_outside", [-0.316217766333, -0.168780157876, -0.450634115821]),
        ("rmsprop_momentum", [-0.316211955814, -0.453367169994, -0.858661993894]),
        ("adam", [-0.099999999, -0.126633702629, -0.192444862157]),
        ("adam_uncorrected", [-0.316227666017, -0.429410000986, -0.755190686629]),
        ("amsgrad", [-0.099999999, -0.121052630368, -0.186863789897]),
        ("amsgrad_raw", [-0.099999999, -0.126633702629, -0.192444862157]),
    ],
)
def test_optimiser_steps_by_the_printed_formulas(optimizer, expected):
    walk = dr.optimizer_steps(optimizer, 0.0, [1, -0.5, 2])
    np.testing.assert_allclose(
        [float(theta) for theta in walk.parameters], expected, rtol=1e-9, atol=1e-11
    )
    assert "step t = 3" in str(walk) and walk.latex()


@pytest.mark.notes("C-OPT-16", "C-OPT-22", "OPT-12")
def test_decay_and_look_ahead():
    walk = dr.optimizer_steps("adam_l2", 1.0, [1, -0.5, 2])
    np.testing.assert_allclose(
        [float(v) for v in walk.parameters],
        [0.900000000909, 0.863218354794, 0.793599917164],
        rtol=1e-9,
    )
    theta = np.array([1.0, 1.0])
    curvature = np.array([1.0, 10.0])
    seen, velocity = theta, np.zeros(2)
    gradients = []
    for _ in range(3):  # the gradients along the path of the changed variable
        gradients.append(curvature * seen)
        faster = 0.9 * velocity - 0.05 * gradients[-1]
        seen, velocity = seen + faster + 0.9 * (faster - velocity), faster
    walk = dr.optimizer_steps("nesterov", theta, gradients, {"eta": 0.05})
    np.testing.assert_allclose(
        walk.parameters,
        [[0.905, 0.05], [0.778525, -0.4025], [0.631462625, -0.404875]],
        rtol=1e-9,
    )


def test_every_rule_runs_on_vectors():
    for optimizer in VARIANTS:
        walk = dr.optimizer_steps(optimizer, [1.0, -2.0], [[1.0, 0.5], [0.0, -1.0]])
        assert np.all(np.isfinite(walk.parameters[-1]))
    with pytest.raises(ArgumentError, match="settings"):
        dr.optimizer_steps("sgd", 0.0, [1.0], {"momentum": 0.9})
