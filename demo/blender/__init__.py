"""What the demo's pictures share on Blender's side: engine, camera, meshes, materials, lights. Needs `bpy`.

World frame: metres, z up. Cameras of the rest of the demo are OpenCV's (x right, y down, z forward), and the centre of
pixel (c, r) is at (c, r).
"""
