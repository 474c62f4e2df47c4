"""Which environment variables the settings are read from."""

from mqops.settings import settings_from


class _Asked(dict[str, str]):
    """An environment that notes what is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.names.add(name)
        return default


def variables_read() -> set[str]:
    """All of them."""
    environment = _Asked()
    settings_from(environment)
    return environment.names
