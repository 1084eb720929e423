"""Where the demo's bundle and bag are: in the source tree, or installed with the package."""

from __future__ import annotations

from pathlib import Path


def demo_folder() -> Path:
    """The folder with ``bundle`` and ``bag``. Raises FileNotFoundError where there is none."""
    in_source_tree = Path(__file__).resolve().parents[2] / "demo"
    if (in_source_tree / "bundle").is_dir():
        return in_source_tree
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        return Path(get_package_share_directory("mrc_net_ros")) / "demo"
    except PackageNotFoundError as error:
        raise FileNotFoundError("the demo's files are not here: name --bundle and --bag") from error
