"""What can be done with ROS nodes."""

from launch._coverage import refuse_uncovered

from .lifecycle_node import LifecycleNode
from .node import Node
from .push_ros_namespace import PushROSNamespace
from .set_parameter import SetParameter

#: The spelling that most launch files use.
PushRosNamespace = PushROSNamespace

__all__ = ["LifecycleNode", "Node", "PushROSNamespace", "PushRosNamespace", "SetParameter"]

__getattr__ = refuse_uncovered(__name__)
