"""Package mbpl_bringup."""

from glob import glob

from setuptools import setup

PACKAGE = "mbpl_bringup"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=[PACKAGE],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", glob("launch/*.launch.py")),
        (f"share/{PACKAGE}/config", glob("config/*")),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    maintainer="mbpl maintainers",
    maintainer_email="maintainers@mbpl.dev",
    description="Launch files and parameters of mbpl",
    license="Apache-2.0",
)
