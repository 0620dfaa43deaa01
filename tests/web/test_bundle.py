"""Bundles of JavaScript modules: scopes, order, and modules that cannot be bundled."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping

import pytest

from wschat.web.bundle import bundle, bundle_module


def run(**sources: str) -> str:
    """Run the bundle of `main.js`. Return its output."""
    return run_script(bundle("a/main.js", reading(sources)))


def reading(sources: Mapping[str, str]) -> Callable[[str], str]:
    return {f"a/{name}.js": source for name, source in sources.items()}.__getitem__


def run_script(script: str, *options: str) -> str:
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        pytest.skip("needs Node.js (on Debian: apt install nodejs), which scripts/test installs as root")
    return subprocess.run([node, *options, "-e", script], capture_output=True, text=True, check=True).stdout


def test_each_module_has_its_own_scope_and_runs_once_after_those_that_it_imports() -> None:
    printed = run(
        main='import { one as first, Two } from "./left.js";\nimport { shared } from "../a/shared.js";\nconst own = "main";\n'
        "console.log(own, first(), new Two().own, shared);\n",
        left='import { shared } from "./shared.js";\nconst own = "left";\nexport function one() {\n  return own + shared;\n}\n'
        "export class Two {\n  own = own;\n}\n",
        shared='const own = "shared";\nconsole.log("once");\nexport const shared = own.length;\nexport async function later() {}\n',
    )
    assert printed == "once\nmain left6 left 6\n"


def test_a_bundle_is_strict_and_defines_no_globals() -> None:
    main = (
        "export const kept = 1;\ntry {\n  undeclared = 1;\n} catch (error) {\n  console.log(error.name, kept);\n}\n"
        'setTimeout(() => console.log(Object.keys(globalThis).includes("modules")));\n'
    )
    assert run(main=main) == "ReferenceError 1\nfalse\n"


def test_a_module_exports_what_its_main_module_exports_of_its_own_and_of_others() -> None:
    sources = {
        "main": 'import { two as second } from "./two.js";\nexport { One } from "./one.js";\nexport const three = second + 1;\n',
        "one": "export class One {}\n",
        "two": "export const two = 2;\nexport const hidden = 0;\n",
    }
    module = bundle_module("a/main.js", reading(sources)).replace("\n", "%0A")
    program = (
        f"const module = await import('data:text/javascript,{module}'); console.log(Object.keys(module), module.three, module.One.name);"
    )
    assert run_script(program, "--input-type=module") == "[ 'One', 'three' ] 3 One\n"


def test_a_script_has_no_comments_on_lines_of_their_own_and_a_module_keeps_them() -> None:
    main = '// One.\n/**\n * Two.\n */\nconst url = "http://host"; // three\n  /** Four. */\nconsole.log(url);\n'
    assert run(main=main) == "http://host\n"
    script, module = bundle("a/main.js", reading({"main": main})), bundle_module("a/main.js", reading({"main": main}))
    assert [word in script for word in ("One", "Two", "three", "Four")] == [False, False, True, False]
    assert main in module


def test_modules_that_import_each_other_in_a_circle_are_refused() -> None:
    sources = {"one.js": 'import { two } from "./two.js";\n', "two.js": 'import { one } from "./one.js";\n'}
    with pytest.raises(ValueError, match=r"in a circle: one\.js > two\.js > one\.js"):
        bundle("one.js", sources.__getitem__)


@pytest.mark.parametrize(
    "line",
    [
        'import "./other.js";',
        'import all from "./other.js";',
        "export default 1;",
        "export { one };",
        "export let one = 1;",
        'export { one as two } from "./other.js";',
    ],
)
def test_an_unsupported_import_or_export_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="cannot be bundled"):
        bundle("main.js", {"main.js": f"const one = 1;\n{line}\n"}.__getitem__)
