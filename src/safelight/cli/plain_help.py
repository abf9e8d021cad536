"""Help in our own words: the library's types and braces are nothing to its reader."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import typer
from typer._click import Context
from typer.core import TyperCommand

F = TypeVar("F", bound=Callable[..., Any])
_TYPE: Final = re.compile(r" <[a-z[\]]+>(?= )")
_BRACED: Final = re.compile(r"\{([^{}\n]+)\}")
_MANY: Final = re.compile(r"\[(\[[^\[\]\n]+\])\]\.\.\.")


class PlainCommand(TyperCommand):
    """A command whose help names its arguments as we do."""

    def get_help(self, ctx: Context) -> str:
        """Return the help; columns stay where they are."""
        text = super().get_help(ctx)
        text = _MANY.sub(r"\1", _BRACED.sub(r"\1", text))
        return _TYPE.sub(lambda found: " " * len(found[0]), text)


class PlainApp(typer.Typer):
    """A group of commands of which each is a ``PlainCommand``."""

    def command(self, name: str | None = None, **more: Any) -> Callable[[F], F]:
        """Register a function as a command, as ``typer.Typer.command`` does."""
        return super().command(name, **{"cls": PlainCommand, **more})
