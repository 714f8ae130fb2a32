"""Terms of matrix calculus: built, simplified, typeset; from graphs and back."""
