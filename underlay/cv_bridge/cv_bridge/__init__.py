"""Images between ROS messages and OpenCV arrays: a stand-in with the interface of ROS 2 cv_bridge."""

from cv_bridge.core import CvBridge, CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
