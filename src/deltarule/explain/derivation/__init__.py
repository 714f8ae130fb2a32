"""The steps of the backward walk as lines of matrix calculus."""
