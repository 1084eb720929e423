"""How the demo's four objects are modelled; ``demo/make_objects.py`` writes them as glb files."""
