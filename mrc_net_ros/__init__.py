"""ROS 2 nodes around mrc_core: messages in, messages out.

The generated message package has the same name. Where both are on the path, as in the source tree, this joins them, so
that `mrc_net_ros.msg` is found beside the nodes.
"""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)
