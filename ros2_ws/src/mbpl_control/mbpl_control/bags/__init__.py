"""Episodes as rosbag2 MCAP directories: write and read, also what a killed recorder left."""

from mbpl_control.bags.episode import Episode, read_episode
from mbpl_control.bags.writer import EpisodeWriter

__all__ = ["Episode", "EpisodeWriter", "read_episode"]
