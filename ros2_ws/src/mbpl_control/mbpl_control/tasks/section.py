"""What the sections of a task file are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# strict: text and booleans are no numbers, however much they look like some
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, ge=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=1)]


class Section(BaseModel):
    """A part of a task file; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
