"""What the launch files of mbpl share."""
