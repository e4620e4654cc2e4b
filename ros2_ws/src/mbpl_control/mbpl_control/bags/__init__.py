"""rosbag2 recordings of trials: write and read."""
