"""The mutants of a module: its text with one thing in it changed, for every change that a test should see.

What is changed are decisions, not words: comparisons, the parts of a condition, constants, members of an
enum, what is returned, a statement left out, an element or a keyword argument left out, a decorator taken
away. A string with a blank in it is prose for a person and is left alone; so are docstrings and annotations.

Changes are made in the text and not by unparsing, so that `before` and `after` read as the code does. They
are how a mutant is named in equal.toml: line numbers move.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """One change. `where`: the outermost function whose body it is in, as `Class.method`; empty: in none."""

    module: str
    line: int
    statement: tuple[int, int]
    where: str
    before: str
    after: str
    start: int
    end: int
    text: bytes

    def apply(self, source: bytes) -> bytes:
        """The whole module with this change."""
        return source[: self.start] + self.text + source[self.end :]


COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Div: ("/", "*"),
    ast.Mod: ("%", "*"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
OPPOSITES = {"any": "all", "all": "any", "min": "max", "max": "min"}
ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Constant, ast.Subscript, ast.JoinedStr)


def mutants(root: Path, module: str) -> list[Mutant]:
    """All mutants of the module (a path below root), in the order of its text."""
    source = (root / module).read_bytes()
    found = _Finder(module, source, _enums(root, source)).found()
    return sorted(found, key=lambda each: (each.start, each.end, each.text))


def _enums(root: Path, source: bytes) -> dict[str, list[str]]:
    """The members of each enum that the module defines or imports from a module of ours."""
    tree = ast.parse(source)
    trees = {each.name: tree for each in tree.body if isinstance(each, ast.ClassDef)}
    for each in ast.walk(tree):
        if isinstance(each, ast.ImportFrom) and each.module is not None:
            path = root / f"{each.module.replace('.', '/')}.py"
            if path.is_file():
                trees |= {alias.name: ast.parse(path.read_bytes()) for alias in each.names}
    found: dict[str, list[str]] = {}
    for name, of in trees.items():
        for cls in of.body:
            if not isinstance(cls, ast.ClassDef) or cls.name != name:
                continue
            if any(ast.unparse(base).endswith("Enum") for base in cls.bases):
                assigned = [each for each in cls.body if isinstance(each, ast.Assign)]
                found[name] = [ast.unparse(each.targets[0]) for each in assigned]
    return found


class _Finder:
    """Walks a module once; `where` and `statement` are those of the node that it is at."""

    def __init__(self, module: str, source: bytes, enums: dict[str, list[str]]) -> None:
        self.module, self.source, self.enums = module, source, enums
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.path: list[str] = []
        self.where = ""
        self.statement = (0, 0)

    def found(self) -> Iterator[Mutant]:
        for each in ast.parse(self.source).body:
            yield from self.walk(each)

    # --- the way through the tree

    def walk(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.expr_context):
            return
        if isinstance(node, ast.stmt):
            if _is_text(node) or (not self.path and _is_alias(node)):
                return
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else (node.end_lineno or node.lineno)
            self.statement = (node.lineno, max(node.lineno, last))
        statement = self.statement
        yield from self.change(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from self.definition(node)
            return
        dropped = _drops_elements(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_comment", "targets", "target", "func_type"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if dropped and isinstance(child, ast.Constant):
                    continue  # that it can be left out says as much
                if isinstance(child, ast.AST):
                    self.statement = statement
                    yield from self.walk(child)

    def definition(self, node: ast.FunctionDef | ast.ClassDef) -> Iterator[Mutant]:
        """A decorator and a default run where the function is made; its body alone where it is called."""
        for decorator in node.decorator_list:
            yield from self.edit(decorator, "", start=self.start(decorator) - len("@"))
            yield from self.walk(decorator)
        if isinstance(node, ast.FunctionDef):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    yield from self.walk(default)
        self.path.append(node.name)
        outer, self.where = self.where, self.where
        if isinstance(node, ast.FunctionDef) and not outer:
            self.where = ".".join(self.path)
        for child in node.body:
            if not (
                child is node.body[-1]
                and isinstance(child, ast.Return)
                and ast.unparse(child) == "return None"
            ):
                yield from self.walk(
                    child
                )  # at the end of a function that says nothing but what goes without
        self.where = outer
        self.path.pop()

    # --- where a node stands in the text

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        return self.starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)

    def text(self, node: ast.expr | ast.stmt) -> str:
        return self.source[self.start(node) : self.end(node)].decode()

    def operand(self, node: ast.expr) -> str:
        return self.text(node) if isinstance(node, ATOMS) else f"({self.text(node)})"

    def edit(
        self, node: ast.expr | ast.stmt, text: str, *, start: int | None = None, end: int | None = None
    ) -> Iterator[Mutant]:
        start = self.start(node) if start is None else start
        end = self.end(node) if end is None else end
        head = self.source.rfind(b"\n", 0, start) + 1
        tail = self.source.find(b"\n", end)
        tail = len(self.source) if tail < 0 else tail
        new = text.encode()
        before = self.source[head:tail]
        after = self.source[head:start] + new + self.source[end:tail]
        yield Mutant(
            module=self.module,
            line=self.source.count(b"\n", 0, start) + 1,
            statement=self.statement,
            where=self.where,
            before=" ".join(before.decode().split()),
            after=" ".join(after.decode().split()),
            start=start,
            end=end,
            text=new,
        )

    # --- what is changed

    def change(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare():
                left = node.left
                for op, right in zip(node.ops, node.comparators, strict=True):
                    old, others = COMPARISONS[type(op)]
                    for new in others:
                        yield from self.between(left, right, old, new)
                    left = right
            case ast.BoolOp():
                word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                parts = [self.operand(each) for each in node.values]
                yield from self.edit(node, f"({f' {other} '.join(parts)})")
                for i in range(len(parts)):
                    yield from self.edit(node, f"({f' {word} '.join(parts[:i] + parts[i + 1 :])})")
            case ast.UnaryOp(op=ast.Not()):
                yield from self.edit(node, f"({self.text(node.operand)})")
            case ast.UnaryOp(op=ast.USub()):
                yield from self.edit(node, f"({self.text(node.operand)})")
            case ast.BinOp() if type(node.op) in ARITHMETIC:
                yield from self.between(node.left, node.right, *ARITHMETIC[type(node.op)])
                if isinstance(node.op, ast.Sub | ast.BitOr | ast.BitAnd):
                    yield from self.edit(node, f"({self.text(node.left)})")
                if isinstance(node.op, ast.BitOr | ast.BitAnd):
                    yield from self.edit(node, f"({self.text(node.right)})")
            case ast.If() | ast.While() | ast.Assert():
                yield from self.condition(node.test)
            case ast.IfExp():
                yield from self.condition(node.test)
                yield from self.edit(node, self.operand(node.body))
                yield from self.edit(node, self.operand(node.orelse))
            case ast.comprehension():
                for test in node.ifs:
                    yield from self.edit(test, "True")
                    yield from self.condition(test)
            case ast.For():
                yield from self.edit(node.iter, "()")
            case ast.Constant():
                yield from self.constant(node)
            case ast.Attribute(value=ast.Name(id=name)) if node.attr in self.enums.get(name, ()):
                members = self.enums[name]
                other = members[(members.index(node.attr) + 1) % len(members)]
                yield from self.edit(node, f"{name}.{other}")
            case ast.Call():
                yield from self.call(node)
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements) if (
                _drops_elements(node)
            ):
                spans = [(self.start(each), self.end(each)) for each in elements]
                for i, each in enumerate(elements):
                    yield from self.drop(each, spans, i)
            case ast.Dict():
                yield from self.pairs(node)
            case ast.Return() if node.value is not None:
                if not isinstance(node.value, ast.Constant):
                    yield from self.edit(node.value, "None")
                elif node.value.value is None:
                    yield from self.edit(node, "pass")
            case ast.Return() | ast.Continue() | ast.Break() | ast.Raise() | ast.AugAssign():
                yield from self.edit(node, "pass")
            case ast.Expr(value=ast.Call()):
                yield from self.edit(node, "pass")

    def between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[Mutant]:
        start, end = self.end(left), self.start(right)
        gap = self.source[start:end].decode()
        yield from self.edit(left, gap.replace(old, new, 1), start=start, end=end)

    def condition(self, test: ast.expr) -> Iterator[Mutant]:
        """Where nothing inside of it turns it round."""
        if isinstance(test, ATOMS):
            yield from self.edit(test, f"not {self.text(test)}")

    def constant(self, node: ast.Constant) -> Iterator[Mutant]:
        value = node.value
        if isinstance(value, bool):
            yield from self.edit(node, str(not value))
        elif isinstance(value, int):
            yield from self.edit(node, str(value + 1))
        elif isinstance(value, str) and " " not in value and self.text(node)[:1] in ("'", '"'):
            yield from self.edit(node, repr(f"{value}~"))

    def call(self, node: ast.Call) -> Iterator[Mutant]:
        if isinstance(node.func, ast.Name) and node.func.id in OPPOSITES:
            yield from self.edit(node.func, OPPOSITES[node.func.id])
        if isinstance(node.func, ast.Name) and node.func.id == "sorted" and len(node.args) == 1:
            yield from self.edit(node.func, "list")
        spans = [(self.start(each), self.end(each)) for each in node.args]
        spans += [
            (self.starts[each.lineno - 1] + each.col_offset, self.end(each.value)) for each in node.keywords
        ]
        for i, keyword in enumerate(node.keywords, start=len(node.args)):
            if isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, bool | str):
                continue  # changing it says as much
            yield from self.drop(keyword.value, spans, i)

    def pairs(self, node: ast.Dict) -> Iterator[Mutant]:
        spans = [
            (
                self.start(key) if key is not None else self.source.rindex(b"**", 0, self.start(value)),
                self.end(value),
            )
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        for i, value in enumerate(node.values):
            yield from self.drop(value, spans, i)

    def drop(self, node: ast.expr, spans: list[tuple[int, int]], i: int) -> Iterator[Mutant]:
        """Without the i-th of these, and without the comma before or after it."""
        start, end = spans[i]
        if i + 1 < len(spans):
            end = spans[i + 1][0]
        elif i > 0:
            start = spans[i - 1][1]
        yield from self.edit(node, "", start=start, end=end)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_alias(node: ast.stmt) -> bool:
    """A type's other name, which nothing asks at run time."""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        return False
    name = node.targets[0].id
    capitals = name[:1].isupper() and not name.isupper()
    return capitals and isinstance(node.value, ast.BinOp | ast.Subscript)


def _drops_elements(node: ast.AST) -> bool:
    """Whether each element of it can be left out; of a tuple of two, that would be another type."""
    if isinstance(node, ast.Tuple | ast.List) and not isinstance(node.ctx, ast.Load):
        return False
    return isinstance(node, ast.Tuple | ast.List | ast.Set) and len(node.elts) > 1 + isinstance(
        node, ast.Tuple
    )
