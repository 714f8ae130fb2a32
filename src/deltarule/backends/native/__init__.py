"""The native engine: programs as machine code, through LLVM.

Reading order, from what a user calls to single instructions:

1. ``backend`` and ``runner``: a program, or whole epochs of a step, as one native call; ``image`` is what they know
   of its code, ``context`` and ``memory`` hold what both sides share.
2. ``program`` puts the statements of the loop IR together, ``frame`` writes the function of one phase; ``sharing`` and
   ``phases`` say which thread does what and where all wait, ``threads`` are the workers; ``division`` cuts the text
   into parts that are compiled side by side.
3. Nests and scatters: ``emit`` the loops, ``values`` what happens at a point, ``jam`` several results at a time,
   ``routines`` sorting, running sums and linear algebra, ``random`` the counter-based generator.
4. Contractions: ``specification`` what is computed, ``products`` from the loop IR to it, ``tiling`` the schedule,
   ``contraction`` the loops, ``tile`` the innermost code, ``packing`` copies, ``panels`` layouts of weights,
   ``simple_contraction`` for what no tile fits.
5. Mathematics: ``apply`` one table for all primitives, ``vector_math`` and, on ``lanes``, ``exponential``,
   ``error_function``, ``power``, ``trigonometry``.
6. ``emitter`` writes LLVM IR, ``machine`` says what there is, ``compiler`` makes objects, ``object_cache`` keeps them.
7. ``c_source`` and ``c_helpers``: the same loop IR as C, for export and for reading.
"""
