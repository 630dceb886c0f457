"""The configuration section for notifications."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from restem.errors import RestemError
from restem.section import Section

Event = Literal["approved", "refused", "failed"]
VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
Variable = Annotated[str, Field(json_schema_extra={"pattern": VARIABLE.pattern})]


class NotifyConfig(Section):
    """Who is told how a run ended. A notification that fails is a warning, and never fails the run."""

    webhook: str | None = Field(
        None, description="The address to which a run's result is posted as JSON: https://... or http://..."
    )
    webhook_env: Variable | None = Field(
        None,
        description="Instead of webhook: the name of the environment variable that has the address, for an address "
        "that is itself a secret.",
    )
    secret_env: Variable | None = Field(
        None,
        description="The name of the environment variable that has the secret which signs the message: whsec_ and 24 "
        "to 64 bytes in base64 (Standard Webhooks).",
    )
    command: tuple[str, ...] = Field(
        (),
        description="A program and its arguments; it is started without a shell and reads the same JSON on its "
        "standard input. The program is a name on the PATH, or an absolute path.",
    )
    on: tuple[Event, ...] | None = Field(
        None,
        min_length=1,
        description="The results that are told: approved, refused (the run finished, the model was not approved), "
        "failed. null means all that can be told: on Kubeflow, failed cannot.",
    )
    timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="How long one attempt to reach the webhook, and the command, may take."
    )
    kubernetes_secret: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="On Kubeflow: the Kubernetes secret that has the variables webhook_env and secret_env as its keys.",
    )

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that are read."""
        return tuple(name for name in (self.webhook_env, self.secret_env) if name)

    @property
    def wanted(self) -> bool:
        """Whether anything is sent."""
        return bool(self.webhook or self.webhook_env or self.command)

    def tells(self, event: Event) -> bool:
        """Whether an event is sent."""
        return self.wanted and (self.on is None or event in self.on)

    @field_validator("webhook")
    @classmethod
    def _is_an_address(cls, webhook: str | None) -> str | None:
        if webhook is not None:
            check_address(webhook)
        return webhook

    @field_validator("webhook_env", "secret_env")
    @classmethod
    def _is_a_variable(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None and not VARIABLE.fullmatch(name):
            # The value is not shown: it may be the secret itself.
            raise RestemError(
                "this is not the name of an environment variable",
                expected="a name such as RESTEM_WEBHOOK_SECRET, not the value itself",
                remedy="Put the value into the environment, and its name here",
            )
        if info.field_name == "webhook_env" and name is not None and info.data.get("webhook") is not None:
            raise RestemError("there are two addresses", expected="webhook or webhook_env", given="both")
        addresses = [info.data.get("webhook"), info.data.get("webhook_env")]
        if info.field_name == "secret_env" and name is not None and addresses == [None, None]:
            raise RestemError("there is no webhook to sign for", expected="webhook or webhook_env", given="neither")
        return name

    @field_validator("command")
    @classmethod
    def _is_a_program(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if command and (not command[0] or ("/" in command[0] and not command[0].startswith("/"))):
            raise RestemError(
                "the program cannot be found reliably",
                expected="a name on the PATH, or an absolute path",
                given=repr(command[0]),
            )
        return command


def check_address(webhook: str) -> None:
    """Rejects what is not an address, without showing it: it may contain a secret.

    Raises:
      RestemError: with what was expected.
    """
    try:
        parts = urlsplit(webhook)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in webhook):
        raise RestemError(
            "this is not the address of a webhook", expected="https://HOST/PATH, or http://HOST:PORT/PATH"
        )
    if parts.username is not None or parts.password is not None:
        raise RestemError(
            "the address contains a password",
            expected="an address without user and password",
            remedy="Sign the messages with notify.secret_env instead",
        )
