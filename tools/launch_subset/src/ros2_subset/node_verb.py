"""`ros2 node`: the nodes of the graph."""

from __future__ import annotations

import argparse

from .graph import Graph, add_discovery, add_group


def complete(verb: argparse.ArgumentParser) -> None:
    """Add the verbs of the verb."""
    group = add_group(verb)
    text = "List the nodes"
    listing = group.add_parser("list", help=text, description=text)
    add_discovery(listing)
    listing.set_defaults(run=run_list)


def run_list(arguments: argparse.Namespace) -> int:
    """List the full names of the nodes, but not those that begin with an underscore."""
    with Graph() as graph:
        graph.spin_for(arguments.spin_time)
        for name, namespace in sorted(graph.node.get_node_names_and_namespaces()):
            if not name.startswith("_"):
                print(f"{namespace.rstrip('/')}/{name}")
    return 0
