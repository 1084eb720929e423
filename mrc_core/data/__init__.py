"""Data: object sets and synthetic scenes."""
