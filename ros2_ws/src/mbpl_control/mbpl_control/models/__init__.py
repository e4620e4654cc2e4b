"""What a robot or a model does: dynamics, derivatives, kinematics."""
