"""The steps of backpropagation as lines of matrix calculus."""
