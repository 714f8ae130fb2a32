"""Random programs over all primitives and named functions, run by every engine and compared.

``graphs`` draws a program from a seed, ``case`` writes it out as Python, ``rounding`` says how far rounding may move
each result, ``in_torch`` is the oracle, ``check`` compares, ``shrink`` makes a failing program small, ``isolate`` runs
many in processes of their own, so that a crash or an endless loop has a seed as well.
"""
