"""What a device sends, checked field by field."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cachekeeper.core.device import DeviceState
from cachekeeper.protocol.problems import Problem
from cachekeeper.services.report import PATHS_AT_MOST


class State(BaseModel):
    """How a device is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    metered: bool
    battery: int | None = Field(None, ge=0, le=100)
    charging: bool = False

    def as_device_state(self) -> DeviceState:
        """The same for services."""
        return DeviceState(self.metered, self.battery, self.charging)


class Report(BaseModel):
    """What a device read of its own copies, in this order, and how it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    accesses: list[str] = Field(default_factory=list, max_length=PATHS_AT_MOST)
    state: State | None = None


def parse_report(body: bytes) -> Report:
    """A report from its JSON. Raises Problem, which names the first field that is wrong."""
    try:
        return Report.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, found["loc"])) or "body"
        detail = f"{field}: {found['msg']}"
        raise Problem(HTTPStatus.BAD_REQUEST, detail, field=field) from None
