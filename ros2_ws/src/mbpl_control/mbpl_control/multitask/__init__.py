"""Several tasks or parts of one, and one policy for them: Actor-Mimic, divide and conquer, Distral."""
