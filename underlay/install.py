"""Install what a ROS desktop has and PyPI lacks into the virtual environment that runs this script.

    .venv/bin/python underlay/install.py

A package that is already importable and not from here (a ROS installation's own, seen through
--system-site-packages) wins: nothing is installed for it. A package whose sources have not changed since it was
installed is left alone. The builds run in a copy outside the source tree, since CMake refuses a source directory that
contains the virtual environment, and so that they leave no files behind.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE_DIR = Path(sys.prefix) / "share" / "mrc_underlay"


@dataclass(frozen=True)
class Package:
    """One distribution under underlay/ and the Python module that it provides."""

    folder: str  # below underlay/
    probe: str  # module whose presence means that somebody provides it
    sources: tuple[str, ...]  # relative to the repository's root; a change of any of them rebuilds it

    @property
    def distribution(self) -> str:
        return "mrc-underlay-" + self.folder.replace("_", "-")


def _interfaces(name: str) -> Package:
    return Package(name, name, (f"underlay/{name}", "underlay/cmake"))


def _stand_in(name: str) -> Package:
    return Package(name, name, (f"underlay/{name}",))


# In the order of their dependencies.
PACKAGES = (
    _interfaces("vision_msgs"),
    _interfaces("tf2_msgs"),
    Package(
        "mrc_net_ros_msgs",
        "mrc_net_ros.msg",
        (
            "underlay/mrc_net_ros_msgs",
            "underlay/cmake",
            "msg",
            "srv",
            "mrc_net_ros/__init__.py",
            "CMakeLists.txt",
            "package.xml",
        ),
    ),
    _stand_in("message_filters"),
    _stand_in("tf2_ros"),
    _stand_in("cv_bridge"),
    _stand_in("tf_transformations"),
)


def is_importable(module: str) -> bool:
    """Whether a module can be found, without importing it and without looking into the source tree."""
    path = [entry for entry in sys.path if Path(entry or ".").resolve() not in (ROOT, ROOT / "underlay")]
    for part in module.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, path)
        if spec is None or (spec.loader is None and not spec.submodule_search_locations):
            return False
        path = list(spec.submodule_search_locations or ())
    return True


def sources_digest(package: Package, root: Path = ROOT) -> str:
    """SHA-256 over the names and contents of a package's sources, and the Python that it is built for."""
    digest = hashlib.sha256(sys.version.encode())
    for source in package.sources:
        path = root / source
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            if "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(root)).encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def wanted(packages: tuple[Package, ...], state_dir: Path = STATE_DIR) -> list[Package]:
    """The packages that have to be installed: those nobody provides, and our own whose sources changed."""
    result = []
    for package in packages:
        state = state_dir / package.folder
        if state.exists() or _is_ours(package):
            if not state.exists() or state.read_text() != sources_digest(package):
                result.append(package)
        elif is_importable(package.probe):
            print(f"  {package.probe}: already there, from a ROS installation; left alone")
        else:
            result.append(package)
    return result


def _is_ours(package: Package) -> bool:
    # An interrupted run may have installed a package without recording it.
    name = package.distribution.replace("-", "_")
    site_packages = [Path(p) for p in sys.path if Path(p).is_relative_to(sys.prefix)]
    return any(True for folder in site_packages for _ in folder.glob(f"{name}-*.dist-info"))


def build_and_install(package: Package) -> None:
    """Build one package in a temporary copy of the sources and install it. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory(prefix="mrc_underlay_") as temporary:
        copy = Path(temporary)
        for source in package.sources:
            target = copy / source
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / source, target)
        environment = dict(os.environ)
        environment["CMAKE_PREFIX_PATH"] = sys.prefix
        environment["PATH"] = str(Path(sys.prefix) / "bin") + os.pathsep + environment.get("PATH", "")
        for name in ("PYTHONPATH", "AMENT_PREFIX_PATH", "LD_LIBRARY_PATH"):
            environment.pop(name, None)
        command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        command += ["--no-build-isolation", "--no-deps", "--no-index", "--force-reinstall"]
        subprocess.run([*command, str(copy / "underlay" / package.folder)], check=True, env=environment)


def main() -> int:
    if sys.prefix == sys.base_prefix:
        print("underlay/install.py: run it with the Python of a virtual environment (`make setup` does)")
        return 1
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    for package in wanted(PACKAGES):
        print(f"  {package.folder}: build and install", flush=True)
        digest = sources_digest(package)
        try:
            build_and_install(package)
        except subprocess.CalledProcessError:
            print(f"underlay/install.py: {package.folder} could not be built; the reason is above.")
            print("A C++ compiler and the Python headers are needed (Debian: g++ python3-dev).")
            return 1
        (STATE_DIR / package.folder).write_text(digest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
