"""The `mrc-net` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mrc_core import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `mrc-net`; returns the exit status. Errors that a user can mend print one line."""
    # imported here, so that `mrc-net --help` answers without loading torch twice over
    from mrc_core.cli import (
        ablate,
        benchmark,
        calibrate,
        diagnose,
        estimate,
        evaluate,
        import_weights,
        info,
        join_meshes,
        onboard,
        preview,
        strip_meshes,
        symmetries,
        synthesize,
        train,
    )

    parser = argparse.ArgumentParser(prog="mrc-net", description="6-DoF object pose with MRC-Net")
    parser.add_argument("--version", action="version", version=f"mrc-net {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    make = (onboard, symmetries, train, calibrate, preview, import_weights)
    use = (estimate, synthesize, evaluate, info, diagnose, strip_meshes, join_meshes, benchmark, ablate)
    for command in (*make, *use):
        command.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (ValueError, OSError, RuntimeError, ArithmeticError) as error:
        print(f"mrc-net: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mrc-net: interrupted", file=sys.stderr)
        return 130
