"""Helpers shared by the launch files of mbpl."""
