"""Package mbpl_control."""

from setuptools import find_packages, setup

PACKAGE = "mbpl_control"
NODES = (
    "state_estimator",
    "controller_manager",
    "hardware_bridge",
    "ilqr_controller",
    "dynamics_fitter",
    "lqr_flm_controller",
    "neural_policy",
    "planner_controller",
    "gps_trainer",
    "trial_runner",
    "bag_recorder",
)

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(),
    package_data={PACKAGE: ["py.typed", "**/*.j2", "**/*.css"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        ("bin", ["bin/mbpl"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="mbpl maintainers",
    maintainer_email="maintainers@mbpl.dev",
    description="Model-based policy learning as a ROS 2 control stack",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [f"{node} = {PACKAGE}.nodes.{node}:main" for node in NODES]
        + [f"mbpl = {PACKAGE}.cli.main:main"],
    },
)
