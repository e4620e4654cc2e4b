"""Tasks: a YAML file becomes robot, cost, start conditions and limits."""
