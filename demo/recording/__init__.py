"""The demo's recording: a table scene, a moving camera, a Cycles renderer and a rosbag2 writer."""
