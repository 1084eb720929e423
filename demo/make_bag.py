#!/usr/bin/env python3
"""Make the demo's recording: render the pictures (Blender's Cycles), compute the ground truth, write the bag.

    python demo/make_bag.py

Pictures that are already in the frames folder are not rendered again, and then no Blender is needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

DEMO = Path(__file__).resolve().parent


def main() -> None:
    """Render what is missing, then write the bag."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=Path, default=DEMO / "objects", help="folder with objects.yaml")
    parser.add_argument(
        "--frames", type=Path, default=DEMO.parent / "out" / "recording", help="folder for the pictures"
    )
    parser.add_argument(
        "--bag", type=Path, default=DEMO / "bag", help="folder of the bag; replaced if it is there"
    )
    parser.add_argument("--samples", type=int, default=16, help="Cycles samples a pixel")
    parser.add_argument("--threads", type=int, default=2, help="threads for rendering")
    parser.add_argument("--render-only", action="store_true", help="do not write the bag")
    args = parser.parse_args()

    from recording.layout import load_scene
    from recording.render import render_missing

    items = load_scene(args.objects)
    render_missing(items, args.frames, args.samples, args.threads)
    if not args.render_only:
        from recording.bag import write_bag

        write_bag(items, args.frames, args.bag)


if __name__ == "__main__":
    main()
