"""The native engine: programs as machine code, through LLVM.

Reading order, from what a user calls to single instructions:

1. ``backend``: a program as a native function, from memory, from disk, or compiled; ``abi`` is the layout of the
   memory that Python and compiled code share.
2. ``program/``: ``codegen`` puts the statements of the loop IR together, ``synchronisation``, ``work_sharing`` and
   ``frame`` divide them among threads, ``compiled_program`` is what is cached, ``runner`` runs epochs in one call.
3. ``loops/``: ``emit`` nests and scatters, ``values`` expressions, ``lane_axis`` and ``regions`` what is vectorised,
   ``unroll_jam``, ``routines`` for sorting, running sums and linear algebra, ``random`` the counter-based generator.
4. ``contraction/``: ``specification`` what is computed, ``products`` from the loop IR to it, ``tiling`` the schedule,
   ``contraction`` the loops, ``tile`` the innermost code, ``packing`` copies, ``simple`` for what no tile fits.
5. ``mathematics/``: ``exponential``, ``trigonometry``, ``power`` and ``error_function`` of vectors, on ``lanes``.
6. ``llvm/``: ``emitter`` writes IR text, ``module_partition`` cuts it into parts that compile side by side,
   ``compiler`` makes machine code, ``object_cache`` keeps it, ``machine`` describes the CPU.
7. ``c/``: the same loop IR as C source, for export and for reading.
"""
