"""Arithmetic written in the configuration: ``"0.1 * mass"``, ``"beta / gamma"``.

Only numbers, names, ``+ - * / **`` and the functions of `FUNCTIONS` are understood; nothing else
of Python can be reached.
"""

from __future__ import annotations

import ast
import keyword
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from .types import Array

FUNCTIONS: dict[str, np.ufunc] = {
    "abs": np.abs,
    "arctan2": np.arctan2,
    "cos": np.cos,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "tan": np.tan,
}
CONSTANTS = {"pi": np.pi}
OPERATORS: dict[type[ast.AST], Callable[..., Array]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
WORD = re.compile(r"(?<![\w.])[^\W\d][\w\u0300-\u036f]*")
STAND_IN = "name_{}_"
"""What Python reads in place of a name that it would take for something else."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression; ``names`` are the parameters it needs."""

    text: str
    names: tuple[str, ...] = field(init=False)
    _tree: ast.expr = field(init=False, repr=False, compare=False)
    _written: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Parse the text.

        Raises:
            ValueError: It is not arithmetic of the kind described above.
        """
        text, written = _readable(str(self.text))
        try:
            tree = ast.parse(text, mode="eval").body
        except SyntaxError as error:
            raise ValueError(f"{self.text!r} is not an expression: {error.msg}") from error
        object.__setattr__(self, "_tree", tree)
        object.__setattr__(self, "_written", written)
        object.__setattr__(self, "names", tuple(sorted(self._check(tree))))

    def __call__(self, values: Mapping[str, Array]) -> Array:
        """Evaluate with arrays, or numbers, by name."""
        return np.asarray(self._evaluate(self._tree, values), dtype=float)

    def _check(self, node: ast.expr) -> set[str]:
        """Return the names used below a node, refusing what is not arithmetic."""
        match node:
            case ast.Constant(value=int() | float()):
                return set()
            case ast.Name(id=name):
                return set() if name in CONSTANTS else {self._written.get(name, name)}
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
                return self._check(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return self._check(left) | self._check(right)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
                if len(args) != (wanted := FUNCTIONS[name].nin):
                    raise ValueError(
                        f"{self.text!r}: number of arguments of {name}: got {len(args)}, wanted "
                        f"{wanted}"
                    )
                return set().union(*(self._check(argument) for argument in args))
        shown = re.sub(r"name_\d+_", lambda found: self._written[found[0]], ast.unparse(node))
        raise ValueError(
            f"{self.text!r}: {shown!r} is not understood; write numbers, parameter "
            f"names, + - * / ** and {', '.join(FUNCTIONS)}"
        )

    def _evaluate(self, node: ast.expr, values: Mapping[str, Array]) -> Array:
        match node:
            case ast.Constant(value=value):
                return np.asarray(value, dtype=float)
            case ast.Name(id=name):
                known = CONSTANTS if name in CONSTANTS else values
                return np.asarray(known[self._written.get(name, name)])
            case ast.UnaryOp(op=op, operand=operand):
                return OPERATORS[type(op)](self._evaluate(operand, values))
            case ast.BinOp(left=left, op=op, right=right):
                return OPERATORS[type(op)](
                    self._evaluate(left, values), self._evaluate(right, values)
                )
            case ast.Call(func=ast.Name(id=name), args=args):
                return FUNCTIONS[name](*(self._evaluate(argument, values) for argument in args))
        raise AssertionError(ast.dump(node))  # _check has refused everything else


def _readable(text: str) -> tuple[str, dict[str, str]]:
    """Return a text that Python reads as arithmetic, and what its stand-ins stand for.

    ``lambda`` is a wavelength here; and Python would read another letter phi than is written.
    """
    written: dict[str, str] = {}

    def read(found: re.Match[str]) -> str:
        word = found[0]
        if not keyword.iskeyword(word) and unicodedata.normalize("NFKC", word) == word:
            return word
        stand_in = STAND_IN.format(len(written))
        written[stand_in] = word
        return stand_in

    return WORD.sub(read, text), written
