"""Executing and swapping feedback laws, free of ROS."""
