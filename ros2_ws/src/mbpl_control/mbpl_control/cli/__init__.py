"""The mbpl command."""
