"""The decorators that put functions at the hook points of something, typed point by point. No I/O."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

from tether.hooks import (
    AfterModel,
    AfterTool,
    AgentHook,
    AroundModel,
    AroundRun,
    AroundTool,
    BeforeModel,
    BeforeTool,
    Convert,
    HookPoint,
    Hooks,
    OnEvent,
    ShouldStop,
    TransformContext,
    check_point,
)

__all__ = ("Hookable",)

_TransformContext = TypeVar("_TransformContext", bound=TransformContext)
_Convert = TypeVar("_Convert", bound=Convert)
_BeforeModel = TypeVar("_BeforeModel", bound=BeforeModel)
_AroundModel = TypeVar("_AroundModel", bound=AroundModel)
_AfterModel = TypeVar("_AfterModel", bound=AfterModel)
_BeforeTool = TypeVar("_BeforeTool", bound=BeforeTool)
_AroundTool = TypeVar("_AroundTool", bound=AroundTool)
_AfterTool = TypeVar("_AfterTool", bound=AfterTool)
_ShouldStop = TypeVar("_ShouldStop", bound=ShouldStop)
_AroundRun = TypeVar("_AroundRun", bound=AroundRun)
_OnEvent = TypeVar("_OnEvent", bound=OnEvent)
_AgentHook = TypeVar("_AgentHook", bound=AgentHook)


class Hookable:
    """Something that has hooks: the decorators that put functions at its points."""

    hooks: Hooks

    @overload
    def hook(
        self, point: Literal["transform_context"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_TransformContext], _TransformContext]: ...
    @overload
    def hook(
        self, point: Literal["convert"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_Convert], _Convert]: ...
    @overload
    def hook(
        self, point: Literal["before_model"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_BeforeModel], _BeforeModel]: ...
    @overload
    def hook(
        self, point: Literal["around_model"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_AroundModel], _AroundModel]: ...
    @overload
    def hook(
        self, point: Literal["after_model"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_AfterModel], _AfterModel]: ...
    @overload
    def hook(
        self, point: Literal["before_tool"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_BeforeTool], _BeforeTool]: ...
    @overload
    def hook(
        self, point: Literal["around_tool"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_AroundTool], _AroundTool]: ...
    @overload
    def hook(
        self, point: Literal["after_tool"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_AfterTool], _AfterTool]: ...
    @overload
    def hook(
        self, point: Literal["should_stop"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_ShouldStop], _ShouldStop]: ...
    @overload
    def hook(
        self, point: Literal["around_run"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_AroundRun], _AroundRun]: ...
    @overload
    def hook(
        self, point: Literal["on_event"], *, name: str | None = None, depth: int = 0
    ) -> Callable[[_OnEvent], _OnEvent]: ...
    @overload
    def hook(
        self,
        point: Literal["agent_opened", "agent_closed"],
        *,
        name: str | None = None,
        depth: int = 0,
    ) -> Callable[[_AgentHook], _AgentHook]: ...
    def hook(
        self, point: HookPoint, *, name: str | None = None, depth: int = 0
    ) -> Callable[[Any], Any]:
        """Put the decorated function at a point.

        Args:
            point: where.
            name: how to find it again; the function's own name if None.
            depth: its place in the order, lowest first.

        Returns:
            A decorator that leaves the function as it is.

        Raises:
            UsageError: there is no such point.
        """
        check_point(point)
        return lambda function: self.hooks.add(point, function, name=name, depth=depth)

    def around_run(self, function: AroundRun) -> AroundRun:
        """Put the decorated function around every run, those of child agents included; see `tether.hooks.AroundRun`."""
        return self.hooks.add("around_run", function)

    def around_tool(self, function: AroundTool) -> AroundTool:
        """Put the decorated function around every tool call; see `tether.hooks.AroundTool`."""
        return self.hooks.add("around_tool", function)

    def around_model(self, function: AroundModel) -> AroundModel:
        """Put the decorated function around every request; see `tether.hooks.AroundModel`."""
        return self.hooks.add("around_model", function)
