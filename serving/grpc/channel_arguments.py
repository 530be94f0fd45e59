"""gRPC's own settings, as TF Serving takes them in one string."""

import re


def read_channel_arguments(text: str) -> list[tuple[str, int | str]]:
    """Returns the arguments of gRPC in `"name=value,name=value"`, as TF Serving reads them."""
    arguments: list[tuple[str, int | str]] = []
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise ValueError(
                "`grpc_channel_arguments` must be name=value, separated by commas. "
                f"Received: {part!r}"
            )
        arguments.append((name, int(value) if re.fullmatch("-?[0-9]+", value) else value))
    return arguments
