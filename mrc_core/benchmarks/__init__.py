"""What `mrc-net benchmark` measures, one subject a file."""
