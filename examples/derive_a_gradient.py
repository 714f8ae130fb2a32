"""A gradient in matrix calculus, line by line, proved numerically; and a typed answer graded."""

import deltarule as dr
from deltarule import nn

x, y = dr.symbol("x", shape=(3,)), dr.symbol("y", shape=())
W1, b1 = dr.symbol("W_1", shape=(2, 3)), dr.symbol("b_1", shape=(2,))
w2 = dr.symbol("w_2", shape=(2,))
loss = (w2 @ nn.relu(W1 @ x + b1) - y) ** 2 / 2

print(dr.derive(loss, wrt=[W1, b1]))
print(dr.grade(loss, wrt=W1, answer=r"(\hat y - y) w_2 x^T").message)
