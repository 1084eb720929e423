"""Pictures for people: what was estimated, drawn into the image."""

from mrc_core.visualisation.overlay import draw_overlay, object_colours

__all__ = ["draw_overlay", "object_colours"]
