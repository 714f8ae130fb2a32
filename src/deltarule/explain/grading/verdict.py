"""The verdict on an answer."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from deltarule.explain.reading.understood import Understood


@dataclass(frozen=True)
class Grade:
    """The verdict on an answer.

    ``mistake`` is "equal" or the first of ``mistakes``, which are: "signal" (another symbol stands there), "parameter"
    (another parameter), "derivative" (not that of the activation), "argument" (taken at another place), "activation"
    (missing), "factor" (missing, too many, or a number), "function", "power" (a square), "product" (of entries for
    that of matrices), "kink" (the wrong side), "sign", "mean", "term", "path", "transpose", "order", "transposed" (the
    whole), "axis" (a sum), "shape", "undefined" (not finite where the gradient is), "condition" (equal at ordinary
    points only), "unknown". ``line`` is the first line of the derivation at which it departs. ``hints`` go from the
    shape over the line to the mistake; neither they nor ``message`` contain the gradient.
    ``assumption`` is what a right answer needs of an input, where that was not given: "y is one-hot".
    ``understood`` is the answer as it was read, typeset; None for a function of arrays.
    """

    correct: bool
    mistake: str
    line: int | None
    message: str
    understood: Understood | None = None
    mistakes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    assumption: str | None = None

    def __bool__(self) -> bool:
        return self.correct

    def __str__(self) -> str:
        return f"{'✓' if self.correct else '✗'}  {self.message}"

    def _repr_html_(self) -> str:
        sign = "✓" if self.correct else "✗"
        read_as = "" if self.understood is None else self.understood.mathml()
        message = escape(self.message).replace("\n", "<br>")
        if self.hints:
            message = message.split(".")[0] + "."
        steps = "".join(
            f"<details><summary>Hint {number}</summary>{escape(hint)}</details>"
            for number, hint in enumerate(self.hints, start=1)
        )
        read_as = read_as and f"<p>read as {read_as}</p>"
        return f"<p>{sign} {message}</p>{steps}{read_as}"
