"""MRC-Net: 6-DoF object pose by multi-scale residual correlation, without ROS."""

__version__ = "0.1.0"
