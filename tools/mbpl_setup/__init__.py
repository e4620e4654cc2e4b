"""The set-up behind `make`: an environment, the built workspace, and nothing outside this repository."""
