"""Programs of tether's own that the simulation explores: agents with tools of all kinds, children, hooks and limits."""

from collections.abc import Sequence
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from attrs import evolve

from tether import Agent, AssistantMessage, Limits, Text, Tool, ToolContext, ToolResult, tool
from tether.hooks import Deny
from tether.testing.explore import SimulatedError, Simulation


@tool
async def quick(n: int = 0) -> str:
    """Answer at once."""
    return f"{n}"


@tool
def plain(n: int = 0) -> str:
    """Answer from a plain function."""
    return f"{n}"


@tool(timeout=5)
async def spread(context: ToolContext[Any], n: int = 0) -> str:
    """Work in tasks that report, one of which may fail."""

    async def work(place: int) -> None:
        await context.update(f"part {place}")
        await checkpoint()
        if place == 3:
            raise ValueError(place)

    async with anyio.create_task_group() as tasks:
        for place in range(min(n, 3) + 1):
            tasks.start_soon(work, place)
    return "spread"


@tool
async def finish() -> ToolResult:
    """End the run."""
    return ToolResult("over", terminate=True)


@tool
async def unkeepable(n: int = 0) -> ToolResult:
    """Give what cannot be kept."""
    return ToolResult(f"{n}", details=object())


async def with_a_child(sim: Simulation) -> None:
    """An agent that asks a person, and has a child."""
    child = sim.agent(Agent(name="child", tools=[quick, spread]))
    asking = child.as_tool("ask", "Ask a child.")
    agent = Agent(tools=[quick, plain, spread, asking], approve=lambda _: True)
    await sim.drive(sim.agent(agent), "Go.")


async def with_hooks(sim: Simulation) -> None:
    """An agent with hooks that wait and edit, limits, and options of all kinds."""

    async def wait(*_: object) -> None:
        match sim.choose("wait", 3, ("", "a hook waits", "a hook fails")):
            case 1:
                await checkpoint()
            case 2:
                raise SimulatedError("a hook fails")
            case _:
                pass

    async def judge(_: object) -> Deny | None:
        await wait()
        return Deny("no") if sim.choose("deny", 2) else None

    async def edit(reply: AssistantMessage) -> AssistantMessage:
        await wait()
        return evolve(reply, content=[*reply.content, Text("(edited)")])

    limits: Sequence[dict[str, Any]] = (
        {},
        {"turns": 2},
        {"tool_calls": 2},
        {"output_tokens": 8},
        {"seconds": 2},
    )
    agent = Agent(
        tools=[_with_options(sim, one) for one in (quick, spread, finish, unkeepable)],
        limits=Limits(**limits[sim.choose("limits", len(limits))]),
        sequential=bool(sim.choose("sequential", 2)),
        steering=("one_at_a_time", "all")[sim.choose("steering", 2)],
        follow_up=("one_at_a_time", "all")[sim.choose("follow", 2)],
    )
    if sim.choose("hooks", 2):
        agent.hooks.add("before_tool", judge)
        agent.hooks.add("after_tool", wait)
        agent.hooks.add("before_model", wait)
        agent.hooks.add("transform_context", wait)
        agent.hooks.add("should_stop", wait)
    if sim.choose("edit", 2):
        agent.hooks.add("after_model", edit)
    simulated = sim.agent(agent)
    await sim.drive(simulated, "Go.")
    await sim.drive(simulated, "Go on.")


async def twice(sim: Simulation) -> None:
    """A conversation that goes on after whatever became of its first run."""
    agent = sim.agent(Agent(tools=[quick, spread]))
    await sim.drive(agent, "Go.")
    await sim.drive(agent, "Go on.")


async def two_at_once(sim: Simulation) -> None:
    """Two agents that run at the same time."""
    agents = [sim.agent(Agent(name=name, tools=[spread])) for name in ("one", "two")]
    async with anyio.create_task_group() as tasks:
        for agent in agents:
            tasks.start_soon(sim.drive, agent, "Go.")


def _with_options(sim: Simulation, made: Tool) -> Tool:
    if sim.choose("timeout", 2):
        made = evolve(made, timeout=0.3)
    if sim.choose("alone", 2):
        made = evolve(made, sequential=True)
    return evolve(made, max_concurrency=1) if sim.choose("limiter", 2) else made


PROGRAMS = (with_a_child, with_hooks, twice, two_at_once)
