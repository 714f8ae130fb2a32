"""Emission of LLVM IR text: registers, vector types, loops, and the functions and constants of a module.

Intrinsics need no declaration (LLVM ≥ 19 declares them on use), and vector constants are written as ``splat``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from deltarule.backends.native.llvm.machine import Machine, element_bytes
from deltarule.backends.validation import CheckMessage
from deltarule.graph.constants import single

SCALARS = {
    "float32": "float",
    "float64": "double",
    "int32": "i32",
    "int64": "i64",
    "bool": "i1",
}


def type_of(dtype: str, width: int = 1) -> str:
    """Return the IR type of ``width`` elements.

    >>> type_of("float32", 16)
    '<16 x float>'
    >>> type_of("float64")
    'double'
    """
    scalar = SCALARS.get(dtype, dtype)
    return scalar if width == 1 else f"<{width} x {scalar}>"


def number(value: float, dtype: str, width: int = 1) -> str:
    """Return an IR constant: ``value`` (rounded to ``dtype`` if floating) in every lane.

    >>> number(0.1, "float32"), number(-1, "int32", 4)
    ('0x3FB99999A0000000', 'splat (i32 -1)')
    """
    scalar = SCALARS.get(dtype, dtype)
    if scalar in ("float", "double"):
        rounded = single(value) if scalar == "float" else float(value)
        text = f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"
    else:
        text = str(int(value))
    return text if width == 1 else f"splat ({scalar} {text})"


class Module:
    """The functions and constants of one compilation unit; a definition is added once per name.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> module = Module(host(target="avx2"))
    >>> module.add("f", "define void @f() { ret void }")
    >>> "f" in module
    True
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.definitions: dict[str, str] = {}
        self.messages: list[
            CheckMessage
        ] = []  # messages of the checks in the functions

    def add(self, name: str, text: str) -> None:
        """Add the text of one or more definitions under a name, unless the name exists."""
        self.definitions.setdefault(name, text)

    def message(self, message: CheckMessage) -> int:
        """Add a check message, unless it exists, and return its number."""
        if message not in self.messages:
            self.messages.append(message)
        return self.messages.index(message)

    def __contains__(self, name: object) -> bool:
        return name in self.definitions

    def text(self) -> str:
        """Return the text of the module."""
        text = "\n".join(self.definitions.values())
        return f'target triple = "{self.machine.triple}"\n\n{text}\n'


class Emitter:
    """An IR builder for the body of one function.

    ``block`` is the label of the current basic block (for phi nodes). Operands and results are registers or constants
    as text; ``width`` 1 means a scalar.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> e = Emitter(Module(host(target="avx2")))
    >>> e.emit(f"ret i64 {e.add('%x', 1)}")
    >>> print(e.function("i64 @next(i64 %x)").rstrip())
    define i64 @next(i64 %x) nounwind {
    entry:
      %t1 = add i64 %x, 1
      ret i64 %t1
    }
    """

    def __init__(self, module: Module, prefix: str = "t") -> None:
        self.module = module
        self.machine = module.machine
        self.lines: list[str] = []
        self.block = "entry"
        self.entry: list[str] = []  # instructions of the entry block: stack allocations
        self.offset = "0"  # in epilogues: position of the first lane in arrays with the layout of the result
        self.lanes: int | None = None  # in epilogues: valid lanes of a partial vector
        self._prefix = prefix
        self._count = 0

    def fresh(self, hint: str = "") -> str:
        """Return a new register name."""
        self._count += 1
        return f"%{hint or self._prefix}{self._count}"

    def emit(self, line: str) -> None:
        """Add an instruction without a result."""
        self.lines.append(f"  {line}")

    def assign(self, expression: str, hint: str = "") -> str:
        """Add an instruction; return the register of its result."""
        register = self.fresh(hint)
        self.lines.append(f"  {register} = {expression}")
        return register

    def stack(self, type_text: str) -> str:
        """Allocate a stack slot in the entry block; return its address."""
        register = self.fresh("slot")
        self.entry.append(f"  {register} = alloca {type_text}, align 64")
        return register

    def fresh_label(self, hint: str) -> str:
        """Return a new block label."""
        return self.fresh(hint + ".")[1:]

    def label(self, name: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{name}:")
        self.block = name

    def branch(self, target: str) -> None:
        """End the block with a branch."""
        self.emit(f"br label %{target}")

    def branch_if(self, condition: str, target: str, otherwise: str) -> None:
        """End the block with a conditional branch."""
        self.emit(f"br i1 {condition}, label %{target}, label %{otherwise}")

    def function(self, signature: str, attributes: str = "nounwind") -> str:
        """Return the definition of the function with this body."""
        body = "\n".join(["entry:", *self.entry, *self.lines])
        return f"define {signature} {attributes} {{\n{body}\n}}\n"

    # Integer arithmetic (64 bits).

    def add(self, a: str | int, b: str | int) -> str:
        """Return a + b; constants are folded."""
        if isinstance(a, int) and isinstance(b, int):
            return str(a + b)
        if b in (0, "0"):
            return str(a)
        if a in (0, "0"):
            return str(b)
        return self.assign(f"add i64 {a}, {b}")

    def multiply(self, a: str | int, b: str | int) -> str:
        """Return a · b; constants are folded."""
        if a in (0, "0") or b in (0, "0"):
            return "0"
        if b in (1, "1"):
            return str(a)
        if a in (1, "1"):
            return str(b)
        return self.assign(f"mul i64 {a}, {b}")

    def divide(self, a: str, b: int) -> str:
        """Return ⌊a / b⌋ for a ≥ 0."""
        return a if b == 1 else self.assign(f"udiv i64 {a}, {b}")

    def modulo(self, a: str, b: int) -> str:
        """Return a mod b for a ≥ 0."""
        return "0" if b == 1 else self.assign(f"urem i64 {a}, {b}")

    def minimum(self, a: str, b: str | int) -> str:
        """Return the smaller of two signed integers."""
        return self.assign(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def compare(self, relation: str, a: str, b: str | int) -> str:
        """Compare two signed integers with a predicate (eq, ne, slt, sge …)."""
        return self.assign(f"icmp {relation} i64 {a}, {b}")

    # Memory.

    def address(self, dtype: str, base: str, index: str | int) -> str:
        """Return the address of element ``index`` of the array at ``base``."""
        if index in (0, "0"):
            return base
        return self.assign(f"getelementptr {type_of(dtype)}, ptr {base}, i64 {index}")

    def load(
        self, dtype: str, address: str, width: int = 1, lanes: int | None = None
    ) -> str:
        """Load ``width`` elements; of a partial vector only the first ``lanes``."""
        kind = type_of(dtype, width)
        align = _alignment(dtype)
        if lanes is None or lanes >= width:
            return self.assign(f"load {kind}, ptr {address}, align {align}")
        mask = first_lanes(lanes, width)
        name = f"@llvm.masked.load.v{width}{_mangled(dtype)}.p0"
        arguments = (
            f"ptr {address}, i32 {align}, <{width} x i1> {mask}, {kind} zeroinitializer"
        )
        return self.assign(f"call {kind} {name}({arguments})")

    def store(
        self,
        dtype: str,
        value: str,
        address: str,
        width: int = 1,
        lanes: int | None = None,
    ) -> None:
        """Store ``width`` elements; of a partial vector only the first ``lanes``."""
        kind = type_of(dtype, width)
        align = _alignment(dtype)
        if lanes is None or lanes >= width:
            self.emit(f"store {kind} {value}, ptr {address}, align {align}")
            return
        if (
            lanes == 1
        ):  # LLVM 22 miscompiles masked stores of one narrowed lane: it stores the wide element
            first = self.assign(f"extractelement {kind} {value}, i64 0")
            self.emit(f"store {type_of(dtype)} {first}, ptr {address}, align {align}")
            return
        mask = first_lanes(lanes, width)
        name = f"@llvm.masked.store.v{width}{_mangled(dtype)}.p0"
        self.emit(
            f"call void {name}({kind} {value}, ptr {address}, i32 {align}, <{width} x i1> {mask})"
        )

    def broadcast(self, dtype: str, value: str, width: int) -> str:
        """Broadcast a scalar to all lanes of a vector."""
        if width == 1:
            return value
        kind = type_of(dtype, width)
        first = self.assign(
            f"insertelement {kind} poison, {type_of(dtype)} {value}, i64 0"
        )
        return self.assign(
            f"shufflevector {kind} {first}, {kind} poison, <{width} x i32> zeroinitializer"
        )

    # Arithmetic of one element type.

    def binary(self, operation: str, dtype: str, a: str, b: str, width: int = 1) -> str:
        """Return the result of a two-operand instruction such as fadd or xor."""
        return self.assign(f"{operation} {type_of(dtype, width)} {a}, {b}")

    def intrinsic(
        self, name: str, dtype: str, arguments: Sequence[str], width: int = 1
    ) -> str:
        """Return the result of an intrinsic whose operands and result have one type, such as llvm.sqrt."""
        kind = type_of(dtype, width)
        suffix = _mangled(dtype) if width == 1 else f"v{width}{_mangled(dtype)}"
        listed = ", ".join(f"{kind} {argument}" for argument in arguments)
        return self.assign(f"call {kind} @llvm.{name}.{suffix}({listed})")

    def multiply_add(self, dtype: str, a: str, b: str, c: str, width: int = 1) -> str:
        """Return a·b + c: fused if the machine has the instruction, else rounded twice."""
        if self.machine.fused:
            return self.intrinsic("fma", dtype, (a, b, c), width)
        return self.binary(
            "fadd", dtype, self.binary("fmul", dtype, a, b, width), c, width
        )

    # Control flow.

    def variable(self, value: str | int) -> str:
        """Allocate an i64 variable with an initial value; return its address."""
        slot = self.fresh("variable")
        self.entry.append(f"  {slot} = alloca i64, align 8")
        self.set(slot, value)
        return slot

    def get(self, variable: str) -> str:
        """Load an i64 variable."""
        return self.assign(f"load i64, ptr {variable}, align 8")

    def set(self, variable: str, value: str | int) -> None:
        """Store to an i64 variable."""
        self.emit(f"store i64 {value}, ptr {variable}, align 8")

    @contextmanager
    def repeat_while(self, variable: str, end: str | int) -> Iterator[str]:
        """Emit a loop that runs while an i64 variable, which the body increments, is less than ``end``."""
        head, body, done = (
            self.fresh_label(hint) for hint in ("while", "body", "done")
        )
        self.branch(head)
        self.label(head)
        value = self.get(variable)
        self.branch_if(self.compare("slt", value, end), body, done)
        self.label(body)
        yield value
        self.branch(head)
        self.label(done)

    @contextmanager
    def loop(
        self, begin: str | int, end: str | int, step: str | int = 1
    ) -> Iterator[str]:
        """Emit a loop over begin, begin + step, … < ``end``; yield the register of the index."""
        head, body, latch, done = (
            self.fresh_label(hint) for hint in ("head", "body", "latch", "done")
        )
        index, following = self.fresh("i"), self.fresh("i")
        before = self.block
        self.branch(head)
        self.label(head)
        self.emit(
            f"{index} = phi i64 [ {begin}, %{before} ], [ {following}, %{latch} ]"
        )
        self.branch_if(self.compare("slt", index, end), body, done)
        self.label(body)
        yield index
        self.branch(latch)
        self.label(latch)
        self.emit(f"{following} = add i64 {index}, {step}")
        self.branch(head)
        self.label(done)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Emit a block that runs only if the condition holds."""
        then, done = self.fresh_label("then"), self.fresh_label("done")
        self.branch_if(condition, then, done)
        self.label(then)
        yield
        self.branch(done)
        self.label(done)


def _alignment(dtype: str) -> int:
    if dtype in ("float32", "float64"):
        return element_bytes(dtype)
    return {"i32": 4, "int32": 4, "i64": 8, "int64": 8}.get(dtype, 1)


def _mangled(dtype: str) -> str:
    return {"float": "f32", "double": "f64"}.get(
        SCALARS.get(dtype, dtype), SCALARS.get(dtype, dtype)
    )


def first_lanes(lanes: int, width: int) -> str:
    """Return a mask that is true in the first ``lanes`` of ``width`` lanes.

    >>> first_lanes(1, 2)
    '<i1 true, i1 false>'
    """
    return (
        "<"
        + ", ".join("i1 true" if lane < lanes else "i1 false" for lane in range(width))
        + ">"
    )
