"""Runs `mrc-net` from a checkout: python -m mrc_core.cli."""

import sys

from mrc_core.cli import main

sys.exit(main())
