"""The installer of underlay/: what ROS has is left alone, what is ours follows its sources."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def install():
    spec = importlib.util.spec_from_file_location("underlay_install", ROOT / "underlay" / "install.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_a_package_of_a_ros_installation_is_left_alone(install, tmp_path: Path, capsys):
    foreign = install.Package("some_ros_package", "json.decoder", ("underlay/cmake",))
    assert install.wanted((foreign,), tmp_path) == []
    assert "left alone" in capsys.readouterr().out


def test_a_missing_package_is_wanted(install, tmp_path: Path):
    missing = install.Package("not_there", "module_that_nobody_has", ("underlay/cmake",))
    assert install.wanted((missing,), tmp_path) == [missing]
    part = install.Package("not_there", "json.part_that_nobody_has", ("underlay/cmake",))
    assert install.wanted((part,), tmp_path) == [part]


def test_our_own_package_is_wanted_again_when_its_sources_change(install, tmp_path: Path):
    ours = install.Package("our_package", "json", ("underlay/cmake",))
    (tmp_path / "our_package").write_text(install.sources_digest(ours))
    assert install.wanted((ours,), tmp_path) == []
    (tmp_path / "our_package").write_text("of other sources")
    assert install.wanted((ours,), tmp_path) == [ours]


def test_the_digest_follows_contents_and_names(install, tmp_path: Path):
    package = install.Package("p", "p", ("p",))
    (tmp_path / "p").mkdir()
    file = tmp_path / "p" / "a.msg"
    file.write_text("float64 x\n")
    first = install.sources_digest(package, tmp_path)
    file.write_text("float64 y\n")
    second = install.sources_digest(package, tmp_path)
    file.rename(tmp_path / "p" / "b.msg")
    assert len({first, second, install.sources_digest(package, tmp_path)}) == 3


def test_the_source_tree_does_not_count_as_an_installation(install, monkeypatch):
    # underlay/cv_bridge is a folder without __init__.py, which Python would import as a namespace.
    monkeypatch.setattr(sys, "path", [str(ROOT), str(ROOT / "underlay")])
    assert not install.is_importable("cv_bridge")


def test_no_file_is_installed_by_two_distributions():
    owners: dict[str, str] = {}
    doubled = []
    for distribution in metadata.distributions():
        name, folder = distribution.metadata["Name"], str(distribution.locate_file(""))
        # ROS packages carry an egg-info without a record beside their wheel's own metadata; it is no second owner.
        for line in (distribution.read_text("RECORD") or "").splitlines():
            path = os.path.normpath(os.path.join(folder, line.rsplit(",", 2)[0]))
            if owners.setdefault(path, name) != name and "mrc-" in owners[path] + name:
                doubled.append((path, owners[path], name))
    assert len(owners) > 1000
    assert doubled == []
