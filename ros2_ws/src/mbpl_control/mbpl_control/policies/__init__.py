"""Neural Gaussian policies: executed in numpy, trained in torch.

Only what executes a policy is imported here, so whoever runs one waits for no torch. Training is in
`mbpl_control.policies.training`.
"""

from mbpl_control.policies.architecture import PolicyArchitecture
from mbpl_control.policies.policy import GaussianPolicy
from mbpl_control.policies.report import TrainingReport
from mbpl_control.policies.targets import PolicyTargets

__all__ = [
    "GaussianPolicy",
    "PolicyArchitecture",
    "PolicyTargets",
    "TrainingReport",
]
