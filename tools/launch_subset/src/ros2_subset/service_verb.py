"""`ros2 service`: asking nodes to do something."""

from __future__ import annotations

import argparse

from .graph import Graph, add_group, add_list
from .values import fill, load_type, read_values


def complete(verb: argparse.ArgumentParser) -> None:
    """Add the verbs of the verb."""
    group = add_group(verb)
    add_list(group, "List the services", lambda node: node.get_service_names_and_types())
    text = "Call a service"
    call = group.add_parser("call", help=text, description=text)
    call.add_argument("service_name", help="name of the service")
    call.add_argument("service_type", help="its type, such as std_srvs/srv/Trigger")
    call.add_argument("values", nargs="?", default="{}", help="the request as YAML, such as '{name: value}'")
    call.set_defaults(run=run_call)


def run_call(arguments: argparse.Namespace) -> int:
    """Call a service as soon as it is there, and show its answer.

    Raises:
        UsageError: there is no such type, or the request does not fit it.
    """
    service_type = load_type(arguments.service_type, "srv")
    request = service_type.Request()
    fill(request, read_values(arguments.values))
    with Graph() as graph:
        client = graph.node.create_client(service_type, arguments.service_name)
        if not client.service_is_ready():
            print("waiting for service to become available...", flush=True)
            graph.spin_until(client.service_is_ready)
        print(f"requester: making request: {request!r}\n", flush=True)
        answer = client.call_async(request)
        graph.spin_until(answer.done)
        print(f"response:\n{answer.result()!r}\n")
    return 0
