"""Model-based policy learning as a ROS 2 control stack."""
