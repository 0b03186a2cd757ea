"""The options of a command from the spec that it fills."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

from lightawnet_edge.options import Option, option_of

Options = dict[str, Any]
"""Fields of a spec to what the command line gives for them."""
Command = Callable[..., None]


def takes(
    spec: type[Any], *, unset: bool = False, into: str = "options"
) -> Callable[[Command], Command]:
    """Give a command the options of a spec in the place of one of its parameters.

    Args:
        spec: Dataclass whose fields are made by `lightawnet_edge.options.option`.
        unset: Whether options that are left out are left out of what is given, too, because
            something else than the spec's default may stand for them.
        into: Name of the parameter; a command may take the options of several specs.
    """
    asked = list(_asked(spec, unset=unset))

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True)

        def called(**given: Any) -> None:
            options = {}
            for one in asked:
                value = given.pop(one.name)
                if not (unset and value is None):
                    options[one.name] = one.read(value)
            command(**given, **{into: options})

        parameters: list[inspect.Parameter] = []
        for parameter in own.parameters.values():
            if parameter.name == into:
                parameters += [one.parameter for one in asked]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        # `inspect` and typer read it; types of functions do not know it.
        called.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {one.name: one.annotation for one in parameters}
        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__module__ = command.__module__
        return called

    return decorate


class _Asked:
    """A field of a spec as a parameter of a command."""

    def __init__(self, item: Field[Any], option: Option, annotation: Any, *, unset: bool) -> None:
        self.name = item.name
        self._option = option
        self._kind, self._many = _plain(annotation)
        self.parameter = inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=self._default(item, unset=unset),
            annotation=Annotated[self._type(item, unset=unset), self._info()],
        )

    def read(self, value: Any) -> Any:
        """The field's value from the command line's."""
        if self._many:
            return tuple(value or ())
        if self._option.off:
            return not value
        if value is None or value == self._option.none:
            return None
        return self._kind.parse(value) if hasattr(self._kind, "parse") else value

    def _type(self, item: Field[Any], *, unset: bool) -> Any:
        kind = str if hasattr(self._kind, "parse") else self._kind
        if self._many:
            return list[kind] | None  # type: ignore[valid-type] # made while running
        return kind | None if unset or item.default is None else kind

    def _default(self, item: Field[Any], *, unset: bool) -> Any:
        if unset or self._many or item.default is None:
            return None
        if self._option.off:
            return not item.default
        if item.default is MISSING:
            return inspect.Parameter.empty
        return str(item.default) if hasattr(self._kind, "parse") else item.default

    def _info(self) -> Any:
        option = self._option
        flags = (option.off,) if option.off else option.flags
        return typer.Option(
            *flags, help=option.help, metavar=option.metavar, rich_help_panel=option.panel
        )


def _asked(spec: type[Any], *, unset: bool) -> Iterator[_Asked]:
    hints = get_type_hints(spec)
    for item in fields(spec):
        if (option := option_of(item)) is not None:
            yield _Asked(item, option, hints[item.name], unset=unset)


def _plain(annotation: Any) -> tuple[Any, bool]:
    """A field's type without None, or that of its items; and whether there are many."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (kind for kind in get_args(annotation) if kind is not NoneType)
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0], True
    return annotation, False
