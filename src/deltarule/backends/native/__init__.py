"""The native backend: compilation of programs to machine code through LLVM.

Modules in reading order, from the interface to single instructions:

1. ``backend``: executables and runners, from memory, from the cache on disk, or compiled; ``abi`` is the layout of the
   context that Python and compiled code share.
2. ``program/``: ``codegen`` assembles the statements of the loop IR; ``synchronisation``, ``work_sharing`` and
   ``phase_emitter`` divide them among threads; ``compiled_program`` is cached; ``runner`` runs whole epochs.
3. ``loops/``: ``emit`` generates nests and scatters, ``expressions`` their loop bodies; ``lane_axis`` selects the
   vectorised loop; ``regions`` splits index sets; ``unroll_jam`` unrolls; ``routines`` are sorting, cumulative sums and
   linear algebra; ``random`` is the counter-based generator.
4. ``contraction/``: ``specification`` describes a contraction; ``products`` derives it from the loop IR; ``tiling`` is
   the schedule, ``contraction`` the outer loops, ``tile`` the micro-kernel, ``packing`` the copies of operands;
   ``simple`` is the fallback without tiles.
5. ``mathematics/``: ``exponential``, ``trigonometry``, ``power`` and ``error_function`` on the registers of ``vector``.
6. ``llvm/``: ``emitter`` is the IR builder, ``module_partition`` splits modules for parallel compilation, ``compiler``
   generates machine code, ``object_cache`` stores it, ``machine`` describes the target.
7. ``c/``: the loop IR as C source, for export and for reading.
"""
