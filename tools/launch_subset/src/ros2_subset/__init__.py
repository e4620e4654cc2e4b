"""The verbs of the command `ros2` that mbpl uses, after the public documentation of the genuine command."""
