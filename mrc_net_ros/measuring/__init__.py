"""Measures the running node from outside: its own work, and how it bears more frames than it can answer."""
