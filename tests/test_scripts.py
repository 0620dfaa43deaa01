"""The scripts of a checkout when packages are missing or apt is locked."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.documents import ROOT

PEERS = ROOT / "scripts/peers"
APT = """\
Dir "{root}";
Dir::Etc::parts "";
Dir::Bin::dpkg "/usr/bin/dpkg";
Dir::State::status "{root}/var/lib/dpkg/status";
APT::Sandbox::User "";
Dpkg::Options {{ "--root={root}"; "--force-not-root"; "--log=/dev/null"; }};
"""


@pytest.fixture
def apt_root(tmp_path: Path) -> Path:
    """A root folder for apt, with a repository of one package."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("needs apt-get and dpkg-deb")
    root = tmp_path / "root"
    for folder in ["etc/apt/preferences.d", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d", "var/lib/apt/lists/partial"]:
        (root / folder).mkdir(parents=True)
    for folder in ["var/cache/apt/archives/partial", "var/log/apt", "var/lib/dpkg/updates", "var/lib/dpkg/info", "var/lib/dpkg/triggers"]:
        (root / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    build = tmp_path / "build"
    (build / "DEBIAN").mkdir(parents=True)
    control = "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: Tests <tests@example.test>\nDescription: nothing\n"
    (build / "DEBIAN/control").write_text(control)
    (build / "tiny").touch()
    (tmp_path / "repository").mkdir()
    deb = tmp_path / "repository/tiny_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", build, deb], check=True, capture_output=True)
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    fields = f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
    (tmp_path / "repository/Packages").write_text(control + fields)
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/repository ./\n")
    (tmp_path / "apt.conf").write_text(APT.format(root=root))
    return root


def apt_install(apt_root: Path, *packages: str, seconds: int = 60) -> subprocess.Popen[str]:
    """Start the function `apt_install` of scripts/peers with this root folder."""
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "APT_CONFIG": str(apt_root.parent / "apt.conf"),
        "APT_LOCK_SECONDS": str(seconds),
    }
    script = f'set -euo pipefail; . "{PEERS}"; apt_install "$@"; echo went on'
    return subprocess.Popen(
        ["bash", "-c", script, "bash", *packages], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file as apt and dpkg do."""
    with path.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


LOCKS = ["var/lib/apt/lists/lock", "var/cache/apt/archives/lock", "var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock"]


@pytest.mark.parametrize("lock", LOCKS)
def test_packages_are_installed_once_another_process_releases_its_lock(apt_root: Path, lock: str) -> None:
    with locked(apt_root / lock):
        process = apt_install(apt_root, "tiny")
        assert process.stderr is not None
        assert process.stderr.readline() == "Another process uses apt; waiting for it.\n"
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "went on\n"), errors
    assert (apt_root / "tiny").exists()


def test_a_package_that_cannot_be_installed_is_reported_and_others_are_installed(apt_root: Path) -> None:
    output, errors = (process := apt_install(apt_root, "no-such-package", "tiny")).communicate(timeout=60)
    assert (process.returncode, output) == (0, "went on\n"), errors
    assert "apt-get could not install no-such-package; its tests skip.\n" in errors
    assert (apt_root / "tiny").exists()


def test_the_script_continues_if_it_cannot_get_the_lock_in_time(apt_root: Path) -> None:
    with locked(apt_root / "var/lib/apt/lists/lock"), locked(apt_root / "var/lib/dpkg/lock-frontend"):
        output, errors = (process := apt_install(apt_root, "tiny", seconds=1)).communicate(timeout=60)
    assert (process.returncode, output) == (0, "went on\n"), errors
    assert "could not install tiny" in errors


def test_a_python_without_the_gil_is_not_used_for_the_tools(tmp_path: Path) -> None:
    """Some of these have no wheels for it."""
    for name, has_gil in {"python3": False, "python3.13": True}.items():
        python = tmp_path / name
        python.write_text(f'#!/bin/sh\ncase "$2" in *Py_GIL_DISABLED*) exit {int(has_gil)} ;; esac\n')
        python.chmod(0o755)
    script = f'. "{ROOT}/scripts/environment"; python_to_use'
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    found = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == str(tmp_path / "python3.13"), found.stderr
