"""Each public name has a docstring, and so has each public attribute of a public class."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pydoc
import textwrap
from collections.abc import Iterator

import pytest

import wschat

EXPORTED = [getattr(wschat, name) for name in wschat.__all__ if inspect.isclass(getattr(wschat, name))]
CLASSES = sorted({cls for exported in EXPORTED for cls in exported.__mro__ if cls.__module__.startswith("wschat.")}, key=str)


def attributes_with_docstrings(cls: type) -> Iterator[tuple[str, bool]]:
    """Yield each public attribute that a class assigns in its body or in `__init__`, and True if a string literal follows it."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    constructors = [node.body for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    for body in [tree.body, *constructors]:
        for statement, follower in zip(body, [*body[1:], None], strict=True):
            is_literal = isinstance(follower, ast.Expr) and isinstance(follower.value, ast.Constant)
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
            for name in [ast.unparse(target) for target in targets]:
                attribute = name.removeprefix("self.")
                if (body is tree.body or attribute != name) and not attribute.startswith("_"):
                    yield attribute, is_literal


@pytest.mark.parametrize("name", wschat.__all__)
def test_a_public_name_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(wschat, name))


@pytest.mark.parametrize("cls", CLASSES)
def test_a_public_method_or_property_has_a_docstring(cls: type) -> None:
    own = {name: value for name, value in vars(cls).items() if not name.startswith("_") and name not in inspect.get_annotations(cls)}
    callables = {name: value for name, value in own.items() if inspect.isroutine(value) or isinstance(value, property)}
    assert [name for name, value in callables.items() if not inspect.getdoc(value)] == []


@pytest.mark.interpreted
@pytest.mark.parametrize("cls", CLASSES)
def test_a_public_attribute_has_a_docstring(cls: type) -> None:
    """A field of a dataclass has one of its own. Another attribute may instead be named in the docstring of its class."""
    inherited = {name for base in cls.__mro__[1:] for name in dir(base)}
    of_class = "" if dataclasses.is_dataclass(cls) else cls.__doc__ or ""
    missing = {
        f"{cls.__name__}.{name}"
        for name, has_own in attributes_with_docstrings(cls)
        if not has_own and f"`{name}`" not in of_class and name not in inherited
    }
    assert missing == set()


def test_help_begins_with_an_example_and_where_to_start() -> None:
    description = pydoc.plain(pydoc.render_doc(wschat)).partition("DESCRIPTION")[2].partition("PACKAGE CONTENTS")[0]
    assert description.index("with wschat.serve(") < description.index("Start here: serve, connect, Hub") < 1000


def test_the_example_of_help_runs() -> None:
    assert wschat.__doc__ is not None
    example = textwrap.dedent(wschat.__doc__.partition("::\n")[2].partition("\nStart here")[0])
    variables: dict[str, object] = {}
    exec(example, variables)
    assert variables["answer"] == "Hello!"
