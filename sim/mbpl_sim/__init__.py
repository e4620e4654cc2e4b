"""A MuJoCo robot that stands in for the real one on the ROS graph."""
