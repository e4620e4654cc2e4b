"""Package mbpl_sim."""

from glob import glob

from setuptools import find_packages, setup

PACKAGE = "mbpl_sim"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        ("share/ament_index/resource_index/mbpl_tasks", [f"resource/mbpl_tasks/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/models", glob("models/*.*")),
        (f"share/{PACKAGE}/tasks", glob("tasks/*.yaml")),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="mbpl maintainers",
    maintainer_email="maintainers@mbpl.dev",
    description="A MuJoCo robot on the ROS graph",
    license="Apache-2.0",
    entry_points={"console_scripts": [f"mujoco_sim = {PACKAGE}.mujoco_sim:main"]},
)
