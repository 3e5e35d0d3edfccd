"""The mole and its tests under each CPython that it is meant for: installed from its locks, started, read, ended.

What runs here must itself be code for the oldest of them, as the linter and the type checker hold it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from nvml_standin import Gpu, NvmlStandin

from mole.peers import LONG_S, MOLE_FOLDER, ROOT, MoleProcess, Peer, wait_until

VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
OWN = "{}.{}".format(*sys.version_info)
OTHERS = [version for version in VERSIONS if version != OWN]
SIDE_BY_SIDE = 2
CACHE = ROOT / "tests" / ".cache" / "pythons"
LOCKS = (MOLE_FOLDER / "requirements.txt", ROOT / "tests" / "requirements-mole.txt")
BUILT_WITH = (*LOCKS, MOLE_FOLDER / "pyproject.toml")


def find_python(version: str) -> str | None:
    """One of pyenv's or uv's, else one on the PATH that really is of that version: pyenv's shims are there for any."""
    home, environ = Path.home(), os.environ
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv", "versions")
    uv = Path(environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python")
    folders = [*sorted(pyenv.glob(f"{version}[.-]*"), reverse=True), *uv.glob(f"cpython-{version}.*")]
    for candidate in [*(str(folder / "bin" / "python") for folder in folders), shutil.which(f"python{version}")]:
        if candidate and of_version(candidate) == version:
            return candidate
    return None


def of_version(python: str) -> str:
    """Empty for one without venv, and for what is no CPython as most hosts have it."""
    script = (
        "import sys, sysconfig, venv, ensurepip\n"
        "if sys.implementation.name == 'cpython' and not sysconfig.get_config_var('Py_GIL_DISABLED'):\n"
        "    print('%d.%d' % sys.version_info[:2])"
    )
    try:
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def venv_python(python: str, version: str) -> Path:
    """Of an environment with the mole and what its tests need, made once for each state of the locks; that of this run
    is one.
    """
    if version == OWN:
        return Path(sys.executable)
    key = hashlib.sha256(b"".join(path.read_bytes() for path in BUILT_WITH) + python.encode()).hexdigest()[:12]
    folder = CACHE / f"{version}-{key}"
    if not (folder / "complete").is_file():
        for old in CACHE.glob(f"{version}-*"):
            shutil.rmtree(old)
        run(python, "-m", "venv", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
        install = (*pip, "install", "-q", "--no-compile")
        run(*install, "--require-hashes", *(word for lock in LOCKS for word in ("-r", str(lock))))
        run(*install, "--no-deps", "--no-build-isolation", "-e", str(MOLE_FOLDER))
        (folder / "complete").touch()
    return folder / "bin" / "python"


def run(*words: str) -> None:
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}"


@pytest.fixture(scope="session")
def pythons() -> Generator[Callable[[str], str]]:
    """The interpreter of an environment for a version. All are made side by side, when the first is asked for."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        made = {
            version: pool.submit(venv_python, found, version) for version in VERSIONS if (found := find_python(version))
        }

        def python_of(version: str) -> str:
            if version not in made:
                pytest.skip(f"no CPython {version} on this machine")
            return str(made[version].result())

        yield python_of
        for future in made.values():
            future.cancel()


@pytest.fixture
def python(request: pytest.FixtureRequest, pythons: Callable[[str], str]) -> str:
    return pythons(str(request.param))


@pytest.fixture(scope="module")
def runs(pythons: Callable[[str], str]) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """What the moles' tests say under a version. They wait more than they compute, so they run side by side."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        started = {version: pool.submit(run_tests, pythons(version)) for version in OTHERS if find_python(version)}
        results = {version: future.result() for version, future in started.items()}

    def result_of(version: str) -> subprocess.CompletedProcess[str]:
        if version not in results:
            pytest.skip(f"no CPython {version} on this machine")
        return results[version]

    return result_of


def run_tests(python: str) -> subprocess.CompletedProcess[str]:
    """All but the slow ones. Under the Python of this run they are a part of it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON"))}
    words = [python, "-W", "error", "-m", "pytest", "tests/mole", "-m", "not slow", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*words, "--tb=short", "--color=no", "-q"],
        cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1200, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("version", OTHERS)
def test_the_moles_tests_pass_under_it(version: str, runs: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    done = runs(version)
    if done.returncode:
        pytest.fail(f"{' '.join(done.args)}\n{done.stdout}", pytrace=False)


def is_whole(post: dict[str, Any]) -> bool:
    """On a busy machine the first ones come before NVML has answered."""
    return bool(post["gpu"]) and post["mole"]["errors"] == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("python", VERSIONS, indirect=True)
def test_a_mole_starts_reads_posts_and_ends(
    python: str, peer: Peer, standin: NvmlStandin, start_mole: Callable[..., MoleProcess], tmp_path: Path
) -> None:
    standin.set(Gpu(processes=[("compute", os.getpid(), 2**30)]))
    settings = {
        "POLL_SETTINGS_POLL_INTERVAL_IN_SECS": "0.2",
        "JSON_SENDER_LOGGER_MIN_INTERVAL_IN_SECS": "0",
        "JSON_SENDER_LOGGER_ADDRESS_IN": peer.address,
        "STDOUT_LOGGER_USE": "true",
        "STDOUT_LOGGER_MIN_INTERVAL_IN_SECS": "0",
    }
    # -W error: what one Python only warns of is gone in the next.
    mole = start_mole(subprocess.PIPE, python, "-W", "error", "smart_startup.py", **settings)
    wait_until(lambda: len(peer.posts) >= 3 and any(is_whole(post) for post in list(peer.posts)))
    assert mole.process.stdout
    line = json.loads(mole.process.stdout.readline())
    assert line["mole"]["seq"] == 1
    post = next(filter(is_whole, peer.posts))
    (gpu,) = post["gpu"].values()
    assert [process["mem"] for processes in gpu["users"].values() for process in processes.values()] == [1024]
    assert post["cpu"]["num_cpus"] == os.cpu_count()
    mole.end()
    assert mole.process.returncode == 0
    assert "Traceback" not in mole.log
    assert "Warning" not in mole.log


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("python", VERSIONS, indirect=True)
def test_check_says_that_all_is_well(python: str, peer: Peer, standin: NvmlStandin, tmp_path: Path) -> None:
    standin.set(Gpu())
    address = {"CLUSTER_DASH_MOLE_JSON_SENDER_LOGGER_ADDRESS_IN": peer.address}
    environ = {**os.environ, **address, "XDG_STATE_HOME": str(tmp_path)}
    words = [python, "-W", "error", "-m", "cluster_dash_mole", "check"]
    done = subprocess.run(words, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=LONG_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert len(peer.posts) == 1
