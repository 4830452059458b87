"""The rules of a run of AG-UI 1.0, as the official client checks them, and stricter where it forgives."""

from collections.abc import Sequence
from typing import Any

from ag_ui.core import Event
from attrs import define, field
from pydantic import TypeAdapter

EVENTS: TypeAdapter[Any] = TypeAdapter(Event)

BRACKETS = {
    "TEXT_MESSAGE": "messageId",
    "REASONING_MESSAGE": "messageId",
    "REASONING": "messageId",
    "TOOL_CALL": "toolCallId",
}
ENDS = {"RUN_FINISHED", "RUN_ERROR"}


@define
class Thread:
    """What a client has of a conversation, built from its runs."""

    texts: dict[str, str] = field(factory=dict)
    calls: dict[str, str] = field(factory=dict)
    """The arguments of each."""
    results: dict[str, Any] = field(factory=dict)
    interrupts: set[str] = field(factory=set)
    open: set[tuple[str, str]] = field(factory=set)
    owners: dict[tuple[str, str], str | None] = field(factory=dict)
    steps: set[tuple[str | None, str]] = field(factory=set)
    agents: dict[str, str] = field(factory=dict)
    """Those of this run, each as open, finished or failed."""

    def read(self, run: Sequence[dict[str, Any]]) -> str:
        """Read one run from its start to its end, and return how it ended."""
        assert run[0]["type"] == "RUN_STARTED"
        assert run[-1]["type"] in ENDS
        self.agents.clear()
        self.open.clear()
        self.steps.clear()
        for event in run[1:-1]:
            assert event["type"] not in ENDS
        for event in run:
            EVENTS.validate_python(event, strict=False)
            assert None not in event.values(), event
            if "subagentRunId" in event and event["type"] != "SUBAGENT_STARTED":
                assert event["subagentRunId"] in self.agents, event
            self._read(event)
        return self._end(run[-1])

    def _read(self, event: dict[str, Any]) -> None:
        kind, owner = event["type"], event.get("subagentRunId")
        for name, key in BRACKETS.items():
            if kind in {f"{name}_{what}" for what in ("START", "CONTENT", "ARGS", "END")}:
                self._bracket(name, event[key], kind.removeprefix(f"{name}_"), event)
        match event:
            case {"type": "STEP_STARTED", "stepName": name}:
                assert (owner, name) not in self.steps
                self.steps.add((owner, name))
            case {"type": "STEP_FINISHED", "stepName": name}:
                self.steps.remove((owner, name))
            case {"type": "SUBAGENT_STARTED", "subagentRunId": id_}:
                assert id_ not in self.agents
                parent = event.get("parentSubagentRunId")
                assert parent is None or self.agents[parent] == "open"
                self.agents[id_] = "open"
            case {"type": "SUBAGENT_FINISHED" | "SUBAGENT_ERROR", "subagentRunId": id_}:
                assert self.agents[id_] == "open"
                self.agents[id_] = "over"
            case {"type": "TOOL_CALL_RESULT", "toolCallId": call, "content": content}:
                assert call in self.calls
                assert ("TOOL_CALL", call) not in self.open
                assert call not in self.results
                self.results[call] = content
                self.interrupts.discard(call)
            case _:
                if owner is not None and kind != "SUBAGENT_STARTED":
                    assert self.agents[owner] == "open", f"{event} of an agent that is over"

    def _bracket(self, name: str, id_: str, what: str, event: dict[str, Any]) -> None:
        owner = event.get("subagentRunId")
        if what == "START":
            assert (name, id_) not in self.open
            assert self.owners.setdefault((name, id_), owner) == owner
            self.open.add((name, id_))
            if name == "TOOL_CALL":
                assert id_ not in self.calls
                self.calls[id_] = ""
            elif name != "REASONING":
                assert id_ not in self.texts
                self.texts[id_] = ""
            return
        assert (name, id_) in self.open, event
        assert self.owners[name, id_] == owner
        if what == "END":
            self.open.remove((name, id_))
        else:
            kept = self.calls if name == "TOOL_CALL" else self.texts
            kept[id_] += event["delta"]

    def _end(self, event: dict[str, Any]) -> str:
        if event["type"] == "RUN_ERROR":
            return "error"
        assert not self.open
        assert not self.steps
        assert set(self.agents.values()) <= {"over"}
        outcome = event["outcome"]["type"]
        if outcome == "interrupt":
            new = {interrupt["id"] for interrupt in event["outcome"]["interrupts"]}
            assert new, "an interrupt with nothing to answer"
            assert new <= set(self.calls)
            assert not new & set(self.results)
            self.interrupts = new
        else:
            assert set(self.calls) == set(self.results), "a call without a result"
        return str(outcome)
