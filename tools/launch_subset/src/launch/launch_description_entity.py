"""What a launch description is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class LaunchDescriptionEntity:
    """Something that can be visited by the launch service and looked through without launching."""

    def visit(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Act, and return the entities to visit next."""
        raise NotImplementedError(f"{type(self).__name__}.visit")

    def get_asyncio_future(self) -> asyncio.Future[None] | None:
        """What is still going on after the visit; the service is not idle before it is done."""
        return None

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """The entities that a visit leads to in any case."""
        return []

    def describe_conditional_sub_entities(self) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """The entities that a visit may lead to, each group with the reason that it may not."""
        return []
