"""Contractions of the loop IR as tiled kernels: the roles of the operands, and the epilogue on finished results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deltarule.backends.native.contraction.contraction import (
    ContractionIndex,
    ContractionSpec,
    emit_contraction,
    schedule_contraction,
)
from deltarule.backends.native.contraction.tiling import Schedule, levels_of
from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.loops.expressions import ExpressionEmitter, Value
from deltarule.graph.op import Op
from deltarule.lower.contraction_loops import is_affine
from deltarule.lower.index import Axis
from deltarule.lower.loops import (
    Apply,
    Buffer,
    Contraction,
    Load,
    Nest,
    Reduction,
    Store,
    accessed_buffers,
)

FIRST_POINTER = (
    1  # entry of a contraction's context from which the addresses of its buffers follow
)


@dataclass(frozen=True)
class OperandRoles:
    """The roles of the operands in C = A·B: rows from A, columns from B.

    >>> from deltarule.graph.build import input_node, matmul
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> A, B = input_node("A", (2, 3)), input_node("B", (3, 4))
    >>> (product,) = lower(Program((A, B), (matmul(A, B),))).program.statements
    >>> roles = assign_roles(product, lanes=8)
    >>> [axis.extent for axis in (*roles.rows, *roles.columns, *roles.reduce)]
    [2, 4, 3]
    """

    a: Load
    b: Load
    store: Store  # the store to C
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    batch: tuple[Axis, ...]
    reduce: tuple[Axis, ...]

    def spec(self) -> ContractionSpec:
        """Return the contraction with its strides."""
        axes = (*self.batch, *self.rows, *self.columns, *self.reduce)
        indices = tuple(
            ContractionIndex(
                axis.name,
                axis.extent,
                self.a.index.coefficient(axis) or 0,
                self.b.index.coefficient(axis) or 0,
                self.store.index.coefficient(axis) or 0,
            )
            for axis in axes
        )
        return ContractionSpec(
            indices,
            free_m=_names(self.rows),
            free_n=_names(self.columns),
            reduce=_names(self.reduce),
            batch=_names(self.batch),
            dtype=self.a.dtype.name,
            a_offset=self.a.index.constant,
            b_offset=self.b.index.constant,
            c_offset=self.store.index.constant,
        )


def _names(axes: Sequence[Axis]) -> tuple[str, ...]:
    return tuple(axis.name for axis in axes)


@dataclass(frozen=True)
class Product:
    """The kernel of a contraction; its arguments are A, B, C, a context of addresses, ranges and scratch memory."""

    name: str
    roles: OperandRoles
    schedule: Schedule | None
    buffers: tuple[Buffer, ...]  # buffers whose addresses are in the context
    spec: ContractionSpec

    @property
    def scratch_bytes(self) -> int:
        """Return the size of the scratch memory of a call."""
        return self.schedule.scratch_bytes if self.schedule is not None else 0


def assign_roles(statement: Contraction, lanes: int) -> OperandRoles | None:
    """Return the better assignment of operands to A and B; None if the contraction cannot be tiled.

    >>> from deltarule.graph.build import input_node, matmul
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> A, B = input_node("A", (2, 3)), input_node("B", (3, 4))
    >>> (product,) = lower(Program((A, B), (matmul(A, B),))).program.statements
    >>> roles = assign_roles(product, lanes=8)
    >>> roles.a.buffer.name, roles.b.buffer.name
    ('A', 'B')
    """
    found = []
    stores = [
        store
        for store in statement.stores
        if store.value.dtype is statement.left.dtype and is_affine(store.index)
    ]
    for store in stores:
        for a, b in (
            (statement.left, statement.right),
            (statement.right, statement.left),
        ):
            roles = _roles(statement, a, b, store)
            found.append((_score(roles, lanes), roles))
    best = max(found, key=lambda pair: pair[0])[1] if found else None
    return best if best is not None and best.columns else None


def _roles(statement: Contraction, a: Load, b: Load, store: Store) -> OperandRoles:
    rows, columns, batch = [], [], []
    for axis in statement.axes:
        in_a, in_b = a.index.coefficient(axis), b.index.coefficient(axis)
        if in_a and in_b:
            batch.append(axis)
        elif in_b:
            columns.append(axis)
        else:
            rows.append(axis)
    columns.sort(key=lambda axis: -abs(store.index.coefficient(axis) or 0))
    return OperandRoles(
        a, b, store, tuple(rows), tuple(columns), tuple(batch), statement.reduce
    )


def _score(roles: OperandRoles, lanes: int) -> tuple[bool, bool, int, bool]:
    """Return a score of roles: contiguous columns in C, then in B, then the utilisation of vectors."""
    last = roles.columns[-1] if roles.columns else None
    if last is None:
        return (False, False, 0, False)
    in_c = roles.store.index.coefficient(last) == 1
    in_b = roles.b.index.coefficient(last) == 1
    filled = min(last.extent, lanes)
    return (in_c, filled * 2 >= lanes and in_b, filled, in_b)


def emit_product(
    statement: Contraction,
    roles: OperandRoles,
    module: Module,
    name: str,
    aliases: Mapping[Buffer, Buffer],
) -> tuple[Product, str] | None:
    """Return the kernel of a contraction and its text; None if its stores cannot be vectorised.

    Args:
        statement: The contraction.
        roles: The roles of its operands.
        module: Module for the definitions that the kernel refers to.
        name: Name of the function.
        aliases: Buffers that share memory with another buffer.
    """
    spec = roles.spec()
    schedule = schedule_contraction(spec, module.machine, True)
    inner = levels_of(spec.group(spec.free_n))
    across = (
        bool(inner and roles.columns) and inner[-1].extent != roles.columns[-1].extent
    )
    if across and not _has_no_epilogue(
        statement
    ):  # vectors would cross the end of the innermost column axis
        return None
    owner = aliases.get(roles.store.buffer)
    reads_own = owner is not None and any(
        load.buffer is owner for load in statement.reads
    )
    if (
        schedule is not None and reads_own
    ):  # partial sums must not overwrite operands of the epilogue
        schedule = replace(schedule, reduce_block=schedule.reduce[0].extent)
    buffers = tuple(accessed_buffers(statement))
    epilogue = (
        None if _has_no_epilogue(statement) else _Epilogue(statement, roles, buffers)
    )
    text = emit_contraction(
        spec, module.machine, name, epilogue, module, schedule, True
    )
    return Product(name, roles, schedule, buffers, spec), text


def _has_no_epilogue(statement: Contraction) -> bool:
    """Return whether the sums are stored without an epilogue."""
    from_result = [store for store in statement.stores if not store.value.parts]
    return len(statement.stores) == 1 and len(from_result) == 1


class _Epilogue:
    """The epilogue of a kernel, which computes the stores of a statement from finished vectors."""

    def __init__(
        self, statement: Contraction, roles: OperandRoles, buffers: Sequence[Buffer]
    ) -> None:
        self._statement, self._roles = statement, roles
        self._buffers = tuple(buffers)
        self._open: dict[tuple[int, str, int], tuple[Emitter, ExpressionEmitter]] = {}

    def __call__(
        self, e: Emitter, value: str, row: str, column: str, width: int, context: str
    ) -> str:
        values = self._values(e, width, context)
        values.tail = e.lanes
        with values.scope():
            self._bind(values, e, row, column)
            values.results = {0: Value(value, width)}
            ready = [
                (store, values.value(store.value)) for store in self._statement.stores
            ]
            result = value
            for store, part in ready:
                if store is self._roles.store:
                    result = (
                        values.widen(part, store.buffer.dtype).text
                        if width > 1
                        else part.text
                    )
                else:
                    values.store(store.buffer, store.index, part)
            for axis in (*self._roles.batch, *self._roles.rows, *self._roles.columns):
                del values.variables[axis]
        return result

    def _values(self, e: Emitter, width: int, context: str) -> ExpressionEmitter:
        """Return the expression emitter of this basic block, with invariant values emitted."""
        key = (id(e), e.block, width)
        known = self._open.get(key)
        if known is not None and known[0] is e:
            return known[1]
        pointers = {}
        for place, buffer in enumerate(self._buffers):
            slot = e.assign(
                f"getelementptr ptr, ptr {context}, i64 {FIRST_POINTER + place}"
            )
            pointers[buffer] = e.assign(f"load ptr, ptr {slot}, align 8")
        lane = self._roles.columns[-1] if self._roles.columns and width > 1 else None
        values = ExpressionEmitter(e, pointers, lane, width)
        values.context = e.assign(f"load ptr, ptr {context}, align 8")
        values.hoist(store.value for store in self._statement.stores)
        self._open[key] = (e, values)
        return values

    def _bind(
        self, values: ExpressionEmitter, e: Emitter, row: str, column: str
    ) -> None:
        """Bind the loop variables to their values in this row and column."""
        for axes, position in (
            ((*self._roles.batch, *self._roles.rows), row),
            (self._roles.columns, column),
        ):
            rest = position
            for place in range(len(axes) - 1, -1, -1):
                axis = axes[place]
                values.variables[axis] = (
                    rest if place == 0 else e.modulo(rest, axis.extent)
                )
                rest = rest if place == 0 else e.divide(rest, axis.extent)


def as_nest(statement: Contraction) -> Nest:
    """Return a contraction as a nest that reduces products, for strides that cannot be tiled.

    >>> from deltarule.graph.build import input_node, matmul
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> A, B = input_node("A", (2, 3)), input_node("B", (3, 4))
    >>> (product,) = lower(Program((A, B), (matmul(A, B),))).program.statements
    >>> [reduction.kind for reduction in as_nest(product).reductions]
    ['sum']
    """
    dtype = statement.left.dtype
    product = Apply(dtype, Op.MULTIPLY, (statement.left, statement.right))
    sums = Reduction("sum", product, dtype, dtype)
    return Nest(
        statement.label, statement.axes, statement.stores, statement.reduce, (sums,)
    )
