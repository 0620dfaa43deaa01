"""The wheel contains everything that the package needs to run."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.documents import ROOT


def run(*command: str | Path, cwd: Path) -> str:
    # With the checkout on the path, pip would regard the package as installed.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)  # in the compiled copy, the wheel is compiled: a minute of processor time, which other tests share
def test_the_installed_wheel_works(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("wschat-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "wschat/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]

    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", wheel, cwd=tmp_path)
    assert "--app" in run(python, "-m", "wschat.server", "--help", cwd=tmp_path)
    for command, option in {"serve": "--app", "connect": "--subprotocol", "token": "--auth-secret-file"}.items():
        assert option in run(tmp_path / "venv/bin/wschat", command, "--help", cwd=tmp_path)
    echo = (
        "import wschat, wschat.apps\n"
        "with wschat.serve(wschat.apps.echo, port=0) as server:\n"
        "    server.start()\n"
        "    with wschat.connect(f'ws://127.0.0.1:{server.port}') as ws:\n"
        "        ws.send('hi')\n"
        "        print(ws.recv(timeout=5))\n"
    )
    assert run(python, "-c", echo, cwd=tmp_path) == "hi\n"
    page, metrics, *_ = run(python, "-c", PAGE, cwd=tmp_path).splitlines()
    assert page == "the page and its files are there"
    assert metrics.startswith("501 ")
    assert "pip install 'wschat[metrics]'" in metrics


def test_compiling_without_the_compiler_is_an_error() -> None:
    program = """
import runpy, sys, types
sys.modules.update(mypyc=None, setuptools=types.SimpleNamespace(setup=None))
sys.argv = ["setup.py", "dist_info"]
runpy.run_path("setup.py")
"""
    environment = {**os.environ, "WSCHAT_COMPILE": "1"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "WSCHAT_COMPILE=1 compiles wschat with mypyc, which this environment does not have: pip install mypy\n"


# Without the extras, a request that needs one is answered with the command that installs it.
PAGE = """
import re, urllib.error, urllib.request
import wschat
from wschat.chat.chat import Chat
from wschat.web.site import Site

chat = Chat()
site = Site(chat.http, 0)
with wschat.serve(chat.handle, port=0, http=site) as server:
    server.start()
    url = f"http://127.0.0.1:{server.port}/"
    page = urllib.request.urlopen(url).read().decode()
    files = re.findall('"(static/[^"]+)"', page)
    if files and all(urllib.request.urlopen(url + file).read() for file in files):
        print("the page and its files are there")
    try:
        urllib.request.urlopen(url + "metrics")
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
site.close()
chat.close()
"""
