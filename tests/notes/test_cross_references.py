"""Statements of the notes that refer to several parts of the library at once."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn, optim
from deltarule.backends.reference import evaluate
from deltarule.grad.reverse import gradients
from deltarule.graph import build, functions
from deltarule.graph.program import Program
from deltarule.learners import LinearSVM, find_leaks
from deltarule.lower.cost import cost
from deltarule.lower.lower import lower
from deltarule.optim.averages import exponential_moving_average, moving_average


@pytest.mark.notes("DA-01")
def test_what_is_learned_and_what_is_given() -> None:
    """Weights are parameters; sizes, rates and the loss are arguments of constructors, and no gradient meets them."""
    layer, optimizer = nn.Linear(3, 2), optim.Adam(learning_rate=0.01)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert optimizer.config()["learning_rate"] == 0.01
    layer.freeze()
    assert layer.named_parameters() == []


@pytest.mark.notes("DA-12", "X-07")
def test_empirical_risk_as_sum_and_as_mean() -> None:
    target, prediction = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])
    each = (prediction - target) ** 2
    for reduction, wanted in (
        ("sum", each.sum()),
        ("mean", each.mean()),
        ("none", each),
    ):
        found = losses.MeanSquaredError(reduction=reduction)(
            dr.tensor(prediction), dr.tensor(target)
        )
        np.testing.assert_allclose(found.numpy(), wanted)


@pytest.mark.notes("DA-19", "THY-10")
def test_l1_selects_features_where_l2_only_shrinks_them() -> None:
    """Of ten features two count: a proximal L1 step sets the other weights to exactly 0, L2 to none."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 10))
    y = (3 * x[:, 0] - 2 * x[:, 4] + 0.01 * generator.normal(size=200))[:, None]
    found = {}
    for name, optimizer, regularizers in (
        ("l1", optim.Proximal(inner=optim.SGD(learning_rate=0.05), strength=0.5), []),
        ("l2", optim.SGD(learning_rate=0.05), [losses.L2(strength=0.25)]),
        ("plain", optim.SGD(learning_rate=0.05), []),
    ):
        model = nn.Sequential(nn.Linear(10, 1, bias=False))
        model.initialize(seed=0)
        model.fit(
            x.astype(np.float32),
            y.astype(np.float32),
            loss="mean_squared_error",
            optimizer=optimizer,
            regularizers=regularizers,
            epochs=60,
            batch_size=50,
            verbose=0,
        )
        found[name] = model.parameters()[0].numpy().ravel()
    assert set(np.flatnonzero(found["l1"])) == {0, 4}
    assert np.count_nonzero(found["l2"]) == 10
    assert (
        np.abs(found["l2"][[0, 4]]).sum() < np.abs(found["plain"][[0, 4]]).sum() - 0.1
    )


@pytest.mark.notes("DA-20")
def test_an_image_becomes_a_vector_row_by_row() -> None:
    image = np.arange(12.0).reshape(1, 2, 3, 2)
    np.testing.assert_array_equal(
        nn.Flatten()(dr.tensor(image)).numpy(), image.reshape(1, 12)
    )


@pytest.mark.notes("CM-15")
def test_confidence_grows_with_the_distance_from_the_boundary() -> None:
    x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    learner = LinearSVM().fit(x, [0, 0, 1, 1])
    scores = learner.decision_function([[-4.0], [-1.0], [0.5], [1.0], [4.0]])
    assert (np.diff(scores) > 0).all()
    np.testing.assert_array_equal(learner.predict([[-4.0], [4.0]]), [0, 1])


@pytest.mark.notes("BP-19", "DIA-13")
def test_gradients_are_checked_by_differences() -> None:
    x = dr.tensor(np.array([0.3, -0.7, 1.1]))
    assert dr.check_gradients(lambda z: (dr.tanh(z) * z).sum(), x)
    assert not dr.check_gradients(lambda z: (z * dr.stop_gradient(z)).sum(), x)


@pytest.mark.notes("BP-24")
def test_subgradients_at_kinks() -> None:
    zero = dr.tensor([0.0])
    kinks = {
        "ReLU": (nn.relu, 0.0),
        "leaky": (lambda z: nn.leaky_relu(z, 0.1), 0.1),
        "abs": (dr.absolute, 0.0),
        "maximum": (lambda z: dr.maximum(z, 0.0), 1.0),
    }
    for name, (function, slope) in kinks.items():
        assert dr.grad(function(zero).sum(), zero).tolist() == pytest.approx([slope]), (
            name
        )
    at_the_margin = dr.tensor([1.0])
    assert dr.grad(
        losses.Hinge()(at_the_margin, dr.tensor([1.0])), at_the_margin
    ).tolist() == [0.0]


@pytest.mark.notes("BP-25")
@pytest.mark.parametrize("depth", [1, 4, 16])
def test_the_backward_pass_costs_a_constant_number_of_forward_passes(
    depth: int,
) -> None:
    """Each layer's δ is computed once: all gradients of a deep network take less than three forward passes."""
    x = signal = build.input_node("x", (8, 32))
    weights = [build.input_node(f"W{i}", (32, 32)) for i in range(depth)]
    for weight in weights:
        signal = functions.relu(build.matmul(signal, weight))
    forward = cost(lower(Program((x, *weights), (signal,))).program).flops
    slopes = gradients(build.sum_over(signal), [x, *weights])
    both = cost(lower(Program((x, *weights), (signal, *slopes))).program).flops
    assert forward == depth * 2 * 8 * 32 * 32
    assert both <= 3 * forward


@pytest.mark.notes("ONL-06", "THY-24")
def test_moving_averages_react_and_agree() -> None:
    """After a jump the exponential average of the same mean age is nearer at first; both settle on the new level."""
    series = [0.0] * 20 + [1.0] * 40
    simple = [0.0] * 8 + moving_average(series, 9)
    exponential = exponential_moving_average(series, new_weight=0.2)
    assert exponential[20] > simple[20]
    assert simple[-1] == pytest.approx(1.0) and exponential[-1] == pytest.approx(
        1.0, abs=1e-3
    )
    average = nn.BatchNorm(1)
    for step in range(3):
        average(
            dr.tensor(np.array([[1.0], [3.0]], np.float32)),
            mode="training",
            seed=0,
            step=step,
        )
    running = dict(average.named_state())["running_mean"].numpy()
    np.testing.assert_allclose(
        running,
        exponential_moving_average([0.0, 2.0, 2.0, 2.0], new_weight=0.1)[-1],
        rtol=1e-6,
    )


@pytest.mark.notes("DIA-11")
def test_rows_on_both_sides_of_a_split_are_found() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    report = find_leaks(x[:30], x[25:])
    assert report and "5" in str(report)


@pytest.mark.notes("THY-03", "E001-18")
def test_the_expected_velocity_of_momentum() -> None:
    """E[v_t] = −εμ(1 − αᵗ)/(1 − α) for independent gradients of mean μ."""
    alpha, epsilon, mu, steps, n = 0.9, 0.1, 2.0, 3, 20_000
    slopes = mu + np.random.default_rng(0).normal(size=(n, steps))
    theta = dr.parameter(np.zeros(n), name="theta")
    stepper = optim.Stepper(optim.SGD(learning_rate=epsilon, momentum=alpha), [theta])
    for step in range(steps):
        before = theta.numpy()
        (theta * dr.tensor(slopes[:, step])).sum().backward()
        stepper.step()
        velocity = theta.numpy() - before
        expected = -epsilon * mu * (1 - alpha ** (step + 1)) / (1 - alpha)
        assert velocity.mean() == pytest.approx(
            expected, abs=4 * velocity.std() / np.sqrt(n)
        )


@pytest.mark.notes("THY-04")
def test_both_forms_of_nesterov_walk_the_same_way() -> None:
    """The looking-ahead form at θ and the rewritten one at θ + αv give the same gradients."""

    def loss(z: dr.Tensor) -> dr.Tensor:
        return (z * z * dr.tensor([1.0, 10.0])).sum()

    forms = [
        optim.SGD(learning_rate=0.01, momentum=0.9, nesterov=True, nesterov_form=form)
        for form in ("look_ahead", "changed_variable")
    ]
    ahead, rewritten = (
        optim.minimize(loss, [1.0, 1.0], form, steps=30).path for form in forms
    )
    velocity = np.diff(ahead, axis=0)
    np.testing.assert_allclose(
        rewritten[1:], ahead[1:] + 0.9 * velocity, rtol=1e-4, atol=1e-6
    )


@pytest.mark.notes("THY-11")
def test_logsumexp_lies_between_the_maximum_and_the_maximum_plus_log_n() -> None:
    z = np.random.default_rng(0).normal(size=(50, 7)) * 5
    found = dr.logsumexp(dr.tensor(z), axis=1).numpy()
    assert (found >= z.max(1)).all() and (found <= z.max(1) + np.log(7)).all()


@pytest.mark.notes("THY-15")
def test_inputs_hidden_in_the_null_space_of_the_first_layer() -> None:
    generator = np.random.default_rng(0)
    weight, x = generator.normal(size=(2, 5)), generator.normal(size=5)
    hidden = np.linalg.svd(weight)[2][-1]
    w = build.input_node("W", (2, 5), dr.dtypes.FLOAT64)
    s = build.input_node("x", (5, 1), dr.dtypes.FLOAT64)
    output = build.tanh(build.matmul(w, s))
    (a,), (b,) = (
        evaluate([output], {w: weight, s: (x + shift * hidden)[:, None]})
        for shift in (0.0, 100.0)
    )
    np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.notes("THY-23")
def test_newton_needs_one_step_where_gradient_descent_needs_many() -> None:
    def loss(z: dr.Tensor) -> dr.Tensor:
        return ((z - 1.0) * (z - 1.0) * dr.tensor(np.array([1.0, 100.0]))).sum()

    start = dr.tensor(np.array([5.0, -3.0]))
    newton = optim.newton(loss, start)
    descent = optim.minimize(loss, start, optim.SGD(learning_rate=0.009), steps=100)
    assert len(newton.path) <= 3
    np.testing.assert_allclose(newton.path[1], [1.0, 1.0], atol=1e-8)
    assert np.abs(descent.path[-1] - 1).max() > 1e-3
