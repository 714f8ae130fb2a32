"""Lowering of graphs to loop nests: expansion, fusion, scheduling, memory planning.

Reading order: ``lower`` is the whole pipeline; ``canonical`` and ``operands`` rewrite the graph; ``fuse`` groups
operations into statements; ``statements`` builds the loops of each group from ``element_expressions`` and ``views``
(``contraction_loops`` for sums of products); ``split_reductions`` splits long reductions; ``memory`` allocates buffers.
``loops`` and ``index`` are the intermediate representation, ``memory_layout`` the layouts of buffers, ``show`` prints
programs, ``cost`` estimates them, ``bounds`` and ``verify`` check them.
"""
