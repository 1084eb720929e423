"""The demo's test pictures: scenes that training never draws, rendered by Blender, written as BOP has it.

World frame: metres, z up, the table top is z = 0. This side needs the project's own packages and no Blender.
"""
