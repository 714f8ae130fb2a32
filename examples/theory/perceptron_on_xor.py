"""One line divides AND and not XOR: the perceptron comes to rest on the one and never on the other.

Two hidden steps solve XOR: h = (step(a + b − ½), step(a + b − 3/2)), y = step(h₁ − h₂ − ½). A network finds such
weights by itself.
"""

import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deltarule.learners import MLPClassifier, Perceptron
from deltarule.render.svg import Series, line_chart

x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
both, either = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 0])
curves = []
for name, y in (("AND", both), ("XOR", either)):
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # which says what is shown here
        learner = Perceptron(max_iter=50, shuffle=False).fit(x, y)
    curves.append(Series(name, list(range(1, learner.n_iter_ + 1)), learner.mistakes_))
    print(
        f"{name}: converged {learner.converged_}, {learner.n_mistakes_} mistakes in {learner.n_iter_} epochs"
    )
lines = {
    tuple(Perceptron(shuffle=True, random_state=seed).fit(x, both).coef_.ravel())
    for seed in range(10)
}
print(f"ten orders of the examples give {len(lines)} different lines for AND")

hidden = (x.sum(axis=1, keepdims=True) > [0.5, 1.5]).astype(float)
print("two steps by hand:", (hidden[:, 0] - hidden[:, 1] > 0.5).astype(int).tolist())
network = MLPClassifier(
    (4,),
    activation="tanh",
    learning_rate=0.1,
    epochs=200,
    random_state=0,
    dtype="float64",
)
print("a network that learns:", network.fit(x, either).predict(x).tolist())
chart = line_chart(curves, "Mistakes of the perceptron", "epoch", "mistakes")
Path("perceptron_on_xor.svg").write_text(chart, "utf-8")
