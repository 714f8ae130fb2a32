"""A derivation that a student typed, marked line by line with partial credit."""

import deltarule as dr
from deltarule import losses, nn

x, y = dr.symbol("x", (3,)), dr.symbol("y", (2,))
W1, W2 = dr.symbol("W_1", (4, 3)), dr.symbol("W_2", (2, 4))
loss = losses.CrossEntropy()(W2 @ nn.tanh(W1 @ x), y)

answer = r"""
\begin{align}
\delta_2 &= \hat{y} - y                            && \text{softmax and cross-entropy} \\
\delta_1 &= W_2^\top \delta_2 \odot a_1^2          && \text{chain rule} \\
\frac{\partial L}{\partial W_2} &= \delta_2 a_1^\top \\
\frac{\partial L}{\partial W_1} &= \delta_1 x^\top
\end{align}
"""
grade = dr.grade_derivation(loss, [W1, W2], answer, points=8)
print(grade)

for line in grade.lines:
    if line.verdict == "wrong":
        print(f"line {line.number} is read as {line.understood}")
