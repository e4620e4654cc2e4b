"""Thin ROS nodes over the other rooms."""
