"""From graphs to loop nests: expand, fuse, schedule, plan memory.

Reading order: ``lower`` is the whole way; ``canonical`` and ``operands`` rewrite the graph, ``fuse`` decides what
runs together, ``statements`` builds the loops of each group from ``points`` and ``views`` (``contract`` for sums of
products), ``divide`` splits long sums, ``memory`` places buffers. ``loops`` and ``index`` are the language that all
of them write, ``layout`` says where elements lie, ``show`` prints it, ``cost`` counts it.
"""
