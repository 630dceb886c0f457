"""What is told about a run."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from restem.notify.config import Event
from restem.record_files import finite, time_text


@dataclass(frozen=True)
class Message:
    """The result of a run.

    Attributes:
      event: "approved", "refused" or "failed".
      pipeline: the pipeline's name.
      run: identifies the run; repeated messages about it have the same id.
      reason: the verdict's reason, or why the run failed: a sentence.
      details: further values; see `body`.
      time: seconds since 1970.
    """

    event: Event
    pipeline: str
    run: str
    reason: str
    time: float
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same for every attempt to send this message, so that a receiver can drop repetitions."""
        about = json.dumps([self.pipeline, self.run, self.event])
        return f"msg_{hashlib.sha256(about.encode()).hexdigest()[:32]}"

    def body(self) -> bytes:
        """The JSON that is sent, in the form that Standard Webhooks recommends.

        `type` ("restem.run.approved"), `timestamp` (ISO 8601, UTC), `text` (for people) and `data`: `event`,
        `pipeline`, `run`, `reason`, and the details.
        """
        not_pushed = self.details.get("not_pushed")
        told = {
            "type": f"restem.run.{self.event}",
            "timestamp": time_text(self.time),
            "text": f"{self.pipeline}: {self.event}. {self.reason}"
            + (f" Not pushed: {not_pushed}" if not_pushed else ""),
            "data": {
                "event": self.event,
                "pipeline": self.pipeline,
                "run": self.run,
                "reason": self.reason,
                **self.details,
            },
        }
        return json.dumps(finite(told), ensure_ascii=False, default=str).encode("utf-8")
