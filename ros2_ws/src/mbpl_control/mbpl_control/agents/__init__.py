"""Who runs a trial: in-process simulation, or the ROS graph."""
