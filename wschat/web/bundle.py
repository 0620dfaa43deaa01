"""Bundles: the ES modules of a page as one script, and those of a library as one module: one file to fetch instead of thirty.

Modules are bundled when the server starts. Each has a scope of its own and runs once, after those that it imports. Imports and
exports must be by name, each statement on a line of its own. A page gets no comments that are on lines of their own, which are a third of
the sources; a library keeps them, for its users.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]*)";$', re.MULTILINE)
_REEXPORT = re.compile(r'^export \{ (\w+(?:, \w+)*) \} from "(\.[^"]*)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:(?:async )?function|class|const) (\w+))", re.MULTILINE)
_COMMENT = re.compile(r"^ *(?://[^\n]*|/\*\*.*?\*/)\n", re.MULTILINE | re.DOTALL)
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def bundle(main: str, read: Callable[[str], str]) -> str:
    """Return a classic script that does what the module `main` does. `read` returns the source of a module by its path.

    Raises ValueError for modules that import each other in a circle, and for imports and exports of other forms.
    """
    modules = _COMMENT.sub("", "".join(_modules(main, read, [], set())))
    return f'"use strict";\n{{\nconst modules = {{}};\n{modules}}}\n'


def bundle_module(main: str, read: Callable[[str], str]) -> str:
    """Return an ES module that has the exports of the module `main`. Raises ValueError as `bundle` does."""
    modules = "".join(_modules(main, read, [], set()))
    return f'const modules = {{}};\n{modules}\nexport const {{ {_exports_of(read(main))} }} = modules["{main}"];\n'


def _modules(path: str, read: Callable[[str], str], importing: list[str], done: set[str]) -> list[str]:
    """Return a module after those of its imports that are not in `done`."""
    if path in importing:
        raise ValueError(f"modules import each other in a circle: {' > '.join([*importing, path])}")
    if path in done:
        return []
    source = read(path)
    imported = [_resolve(path, relative) for _, relative in [*_IMPORT.findall(source), *_REEXPORT.findall(source)]]
    texts = [text for other in imported for text in _modules(other, read, [*importing, path], done)]
    done.add(path)
    return [*texts, _scope(path, source)]


def _scope(path: str, source: str) -> str:
    """Return a module as a call of a function that returns the exports."""

    def replace_import(match: re.Match[str]) -> str:
        return f'const {{{match[1].replace(" as ", ": ")}}} = modules["{_resolve(path, match[2])}"];'

    exported = _exports_of(source)
    body = _EXPORT.sub("", _REEXPORT.sub(replace_import, _IMPORT.sub(replace_import, source)))
    other = _OTHER.search(body)
    if other:
        raise ValueError(f"{path} has an import or export that cannot be bundled: {other[0]}")
    return f'\nmodules["{path}"] = (() => {{\n{body}return {{ {exported} }};\n}})();\n'


def _exports_of(source: str) -> str:
    return ", ".join([*_EXPORT.findall(source), *(names for names, _ in _REEXPORT.findall(source))])


def _resolve(path: str, relative: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))
