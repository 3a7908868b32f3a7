"""Runs as much of PowerShell as our scripts use, from a syntax tree of tree-sitter: enough to see what a script would do.

It is no PowerShell: whatever a script uses beyond that is an error here, so that nothing passes by being passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tree_sitter
import tree_sitter_powershell

_LANGUAGE = tree_sitter.Language(tree_sitter_powershell.language())
_KEPT = frozenset({"expandable_string_literal", "statement_block", "parenthesized_expression", "array_expression"})
_MUTE = frozenset({"comment", "{", "}", ";", "empty_statement"})
_QUOTE = "['\u2018\u2019\u201a\u201b]"
Cmdlet = Callable[[dict[str, Any], Sequence[Any]], Sequence[Any]]


class PowerShellError(Exception):
    """What a cmdlet raises; scripts catch it."""


class _Return(Exception):
    pass


class _Exit(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def parse(source: str) -> tree_sitter.Tree:
    """Returns the syntax tree of a script."""
    return tree_sitter.Parser(_LANGUAGE).parse(source.encode())


def errors(source: str) -> list[str]:
    """Returns the lines of a script that are no PowerShell."""
    found, waiting = [], [parse(source).root_node]
    while waiting:
        node = waiting.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append(f"{node.start_point.row + 1}: {node.text[:60]!r}")
        waiting += node.children
    return found


def commands(source: str) -> list[tuple[str, str, str]]:
    """Returns each command of a script: its name, its text, and the names of what it stands in, from the outside in."""
    found: list[tuple[str, str, str]] = []

    def walk(node: tree_sitter.Node, inside: str) -> None:
        if node.type == "command":
            name = node.child_by_field_name("command_name") or node.children[0]
            found.append((name.text.decode(), node.text.decode(), inside))
        here = inside
        if node.type == "if_statement":
            here += f" if {node.children[2].text.decode()}"
        for child in node.children:
            walk(child, here)

    walk(parse(source).root_node, "")
    return found


@dataclass
class Block:
    """A block of script that is called."""

    node: tree_sitter.Node
    parameters: list[tuple[str, str]] = field(default_factory=list)


class Interpreter:
    """Runs a script; cmdlets are given."""

    def __init__(self, cmdlets: Mapping[str, Cmdlet], **variables: Any) -> None:
        self._cmdlets = {name.lower(): run for name, run in cmdlets.items()}
        self._functions: dict[str, Block] = {}
        constants = {"true": True, "false": False, "null": None, "erroractionpreference": "Continue"}
        self._scopes: list[dict[str, Any]] = [constants | {name.lower(): value for name, value in variables.items()}]
        self.exit_code = 0

    def run(self, source: str) -> list[Any]:
        """Runs a script; returns what it writes out."""
        root = parse(source).root_node
        assert not root.has_error, errors(source)
        output: list[Any] = []
        try:
            for child in root.children:
                self._run_into(output, child)
        except _Exit as exc:
            self.exit_code = exc.code
        return output

    # --- statements --------------------------------------------------------------------------------------------------

    def _run_into(self, output: list[Any], node: tree_sitter.Node) -> None:
        node = _inner(node)
        run = {
            "assignment_expression": self._assign,
            "if_statement": self._if,
            "foreach_statement": self._foreach,
            "try_statement": self._try,
            "flow_control_statement": self._leave,
            "return": self._leave,
            "statement_list": self._run_all,
            "statement_block": self._run_all,
            "param_block": self._take_defaults,
            "function_statement": self._define,
        }.get(node.type)
        if run is not None:
            run(output, node)
        elif node.type not in _MUTE:
            output += self._outputs(node)

    def _run_all(self, output: list[Any], node: tree_sitter.Node) -> None:
        for child in node.children:
            self._run_into(output, child)

    def _assign(self, _output: list[Any], node: tree_sitter.Node) -> None:
        target, _, value = (child for child in node.children if child.type != "comment")
        assert _inner(target).type == "variable", node.text
        self._scopes[-1][_inner(target).text.decode()[1:].lower()] = self._value(value)

    def _take_defaults(self, _output: list[Any], node: tree_sitter.Node) -> None:
        for parameter in _found(node, "script_parameter"):
            name = _first(parameter, "variable").text.decode()[1:].lower()
            default = next((one for one in parameter.children if one.type == "script_parameter_default"), None)
            if default is not None and name not in self._scopes[-1]:
                self._scopes[-1][name] = self._value(default.children[-1])

    def _define(self, _output: list[Any], node: tree_sitter.Node) -> None:
        name = _first(node, "function_name").text.decode().lower()
        parameters = [
            (
                _first(one, "variable").text.decode()[1:].lower(),
                (_kind.text.decode() if (_kind := _any(one, "type_literal")) else ""),
            )
            for one in _found(node, "script_parameter")
        ]
        self._functions[name] = Block(_first(node, "script_block"), parameters)

    def _if(self, output: list[Any], node: tree_sitter.Node) -> None:
        parts = [child for child in node.children if child.type not in ("if", "(", ")", "comment")]
        condition, then, *rest = parts
        if _true(self._value(condition)):
            self._run_into(output, then)
        elif rest:
            (otherwise,) = rest
            self._run_into(output, otherwise.children[-1])

    def _foreach(self, output: list[Any], node: tree_sitter.Node) -> None:
        variable = _first(node, "variable").text.decode()[1:].lower()
        opening = next(at for at, child in enumerate(node.children) if child.type == "in")
        items = _listed(self._value(node.children[opening + 1]))
        for item in items:
            self._scopes[-1][variable] = item
            self._run_into(output, node.children[-1])

    def _try(self, output: list[Any], node: tree_sitter.Node) -> None:
        block = next(child for child in node.children if child.type == "statement_block")
        try:
            self._run_into(output, block)
        except PowerShellError as exc:
            handler = _first(_first(node, "catch_clause"), "statement_block")
            before = self._scopes[-1].get("_")
            self._scopes[-1]["_"] = {"exception": {"message": str(exc)}}
            self._run_into(output, handler)
            self._scopes[-1]["_"] = before

    def _leave(self, output: list[Any], node: tree_sitter.Node) -> None:
        word = (node.children[0] if node.children else node).text.decode()
        value = self._value(node.children[1]) if len(node.children) > 1 else None
        if word == "exit":
            raise _Exit(int(value or 0))
        assert word == "return", word
        if value is not None:
            output += _listed(value)
        raise _Return

    # --- expressions -------------------------------------------------------------------------------------------------

    def _outputs(self, node: tree_sitter.Node) -> list[Any]:
        """Returns what an expression or pipeline writes out, one by one."""
        node = _inner(node)
        if node.type == "pipeline_chain":
            found: list[Any] = []
            for at, part in enumerate(child for child in node.children if child.type != "|"):
                found = self._command(_inner(part), found) if at else self._outputs(part)
            return found
        if node.type in ("command", "command_name"):
            return self._command(node, [])
        return _listed(self._value(node))

    def _value(self, node: tree_sitter.Node) -> Any:
        node = _inner(node)
        text = node.text.decode()
        if node.type in _LITERALS:
            return _LITERALS[node.type](text)
        if node.type in ("variable", "$_", "braced_variable"):
            return self._variable(text[1:].strip("{}"))
        evaluate = {
            "expandable_string_literal": self._expanded,
            "array_expression": self._collected,
            "sub_expression": self._collected,
            "parenthesized_expression": lambda inner: _single(self._collected(inner)),
            "array_literal_expression": self._array,
            "argument_expression_list": self._array,
            "hash_literal_expression": self._hash,
            "cast_expression": self._cast,
            "expression_with_unary_operator": self._negated,
            "logical_expression": self._logical,
            "comparison_expression": self._compared,
            "member_access": lambda inner: self._member(self._value(inner.children[0]), inner.children[2]),
            "invokation_expression": self._invoked,
            "script_block_expression": Block,
            "pipeline_chain": lambda inner: _single(self._outputs(inner)),
            "command": lambda inner: _single(self._outputs(inner)),
            "command_name": lambda inner: _single(self._outputs(inner)),
        }.get(node.type)
        if evaluate is None:
            raise NotImplementedError(f"{node.type}: {text}")
        return evaluate(node)

    def _array(self, node: tree_sitter.Node) -> list[Any]:
        return [self._value(child) for child in node.children if child.type != ","]

    def _hash(self, node: tree_sitter.Node) -> dict[str, Any]:
        entries = _found(node, "hash_entry")
        return {_first(entry, "simple_name").text.decode().lower(): self._value(entry.children[2]) for entry in entries}

    def _cast(self, node: tree_sitter.Node) -> Any:
        assert node.children[0].text == b"[pscustomobject]", node.text
        return self._value(node.children[1])

    def _negated(self, node: tree_sitter.Node) -> bool:
        assert node.children[0].text == b"-not", node.text
        return not _true(self._value(node.children[1]))

    def _variable(self, name: str) -> Any:
        for scope in reversed(self._scopes):
            if name.lower() in scope:
                return scope[name.lower()]
        raise PowerShellError(f"The variable '${name}' cannot be retrieved because it has not been set.")

    def _collected(self, node: tree_sitter.Node) -> list[Any]:
        output: list[Any] = []
        for child in node.children[1:-1]:
            self._run_into(output, child)
        return output

    def _expanded(self, node: tree_sitter.Node) -> str:
        raw, parts, at = node.text, [], 1
        for child in node.children:
            begin = child.start_byte - node.start_byte
            parts += [raw[at:begin].decode(), _text(self._value(child))]
            at = child.end_byte - node.start_byte
        return "".join([*parts, raw[at:-1].decode()])

    def _logical(self, node: tree_sitter.Node) -> bool:
        found = _true(self._value(node.children[0]))
        for operator, operand in zip(node.children[1::2], node.children[2::2], strict=True):
            assert operator.text.decode() == "-and", node.text
            found = found and _true(self._value(operand))
        return found

    def _compared(self, node: tree_sitter.Node) -> Any:
        left, operator, right = node.children
        return _OPERATORS[operator.text.decode()](self._value(left), self._value(right))

    def _member(self, value: Any, name: tree_sitter.Node) -> Any:
        inner = _inner(name)
        key = (_text(self._value(inner)) if inner.type == "variable" else inner.text.decode()).lower()
        if key == "count" and isinstance(value, list):
            return len(value)
        if not isinstance(value, dict) or key not in value:
            raise PowerShellError(f"The property '{key}' cannot be found on this object.")
        return value[key]

    def _invoked(self, node: tree_sitter.Node) -> Any:
        target, mark, name, arguments = node.children
        given = [self._value(one) for one in arguments.children if one.type not in ("(", ")", ",")]
        if len(given) == 1 and isinstance(given[0], list):
            given = given[0]
        if mark.text == b"::":
            assert (target.text, name.text) == (b"[timespan]", b"Parse"), node.text
            days, _, _clock = str(given[0]).partition(".")
            return {"totaldays": float(days) if _clock else 0.0}
        return self._value(target)[name.text.decode().lower()](*given)

    # --- commands ----------------------------------------------------------------------------------------------------

    def _command(self, node: tree_sitter.Node, given: Sequence[Any]) -> list[Any]:
        name = (node if node.type == "command_name" else node.children[0]).text.decode()
        named, positional = self._arguments(node)
        if name.lower() == "where-object":
            return [item for item in given if _true(self._called(positional[0], {"_": item}))]
        if name.lower() in self._functions:
            return self._call(self._functions[name.lower()], named)
        if name.lower() not in self._cmdlets:
            raise NotImplementedError(name)
        return list(self._cmdlets[name.lower()]({**named, "": positional}, given))

    def _arguments(self, node: tree_sitter.Node) -> tuple[dict[str, Any], list[Any]]:
        elements = next((child for child in node.children if child.type == "command_elements"), None)
        named: dict[str, Any] = {}
        positional: list[Any] = []
        waiting = ""
        for element in (child for child in (elements.children if elements else ()) if child.type != "command_argument_sep"):
            if element.type == "command_parameter":
                waiting = element.text.decode().strip("-:").lower()
                named[waiting] = True
                continue
            value = self._value(element)
            if waiting:
                named[waiting] = value
            else:
                positional.append(value)
            waiting = ""
        return named, positional

    def _call(self, block: Block, named: Mapping[str, Any]) -> list[Any]:
        assert set(named) <= {name for name, _ in block.parameters}, (named, block.parameters)
        scope = {name: _cast(named.get(name), kind) for name, kind in block.parameters}
        output: list[Any] = []
        self._scopes.append(scope)
        try:
            for child in block.node.children:
                if child.type != "param_block":
                    self._run_into(output, child)
        except _Return:
            pass
        finally:
            self._scopes.pop()
        return output

    def _called(self, block: Block, scope: dict[str, Any]) -> Any:
        self._scopes.append(scope)
        try:
            return _single(self._collected(block.node))
        finally:
            self._scopes.pop()


def _inner(node: tree_sitter.Node) -> tree_sitter.Node:
    """Returns the first node on the way in that is more than a wrapper of another one."""
    while len(node.children) == 1 and node.type not in _KEPT:
        node = node.children[0]
    return node


def _found(node: tree_sitter.Node, kind: str) -> Iterator[tree_sitter.Node]:
    """Yields the nearest nodes of a type below one."""
    for child in node.children:
        if child.type == kind:
            yield child
        else:
            yield from _found(child, kind)


def _first(node: tree_sitter.Node, kind: str) -> tree_sitter.Node:
    return next(_found(node, kind))


def _any(node: tree_sitter.Node, kind: str) -> tree_sitter.Node | None:
    return next(_found(node, kind), None)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _single(found: Any) -> Any:
    if not isinstance(found, list):
        return found
    return found[0] if len(found) == 1 else (found or None)


def _true(value: Any) -> bool:
    return bool(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _same(one: Any, other: Any) -> bool:
    return one.lower() == other.lower() if isinstance(one, str) and isinstance(other, str) else one == other


def _text(value: Any) -> str:
    return " ".join(map(_text, value)) if isinstance(value, list) else "" if value is None else str(value)


def _cast(value: Any, kind: str) -> Any:
    if kind == "[string]":
        return _text(value)
    return list(map(_text, _listed(value))) if kind == "[string[]]" else value


_LITERALS: Mapping[str, Callable[[str], Any]] = {
    "string_literal": lambda text: re.sub(f"({_QUOTE})\\1", r"\1", text[1:-1]),
    "verbatim_string_characters": lambda text: re.sub(f"({_QUOTE})\\1", r"\1", text[1:-1]),
    "decimal_integer_literal": int,
    "real_literal": float,
    "generic_token": str,
}
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "-eq": _same,
    "-gt": lambda one, other: one > other,
    "-lt": lambda one, other: one < other,
    "-match": lambda one, other: re.search(other, one, re.IGNORECASE) is not None,
    "-notcontains": lambda one, other: not any(_same(item, other) for item in _listed(one)),
    "-join": lambda one, other: other.join(map(_text, _listed(one))),
    "-split": lambda one, other: re.split(other, _text(_single(one))),
}
