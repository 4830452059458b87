"""The rules of a UI message stream, as the AI SDK's own reader has them, and stricter where it forgives."""

from collections.abc import Sequence
from typing import Any

from attrs import define, field

ONLY_V7 = {"steering-message", "tool-approval-response"}
FINAL = {"output-available", "output-error", "output-denied"}


@define
class UiMessage:
    """What a page has of an assistant message, built from the streams that made it."""

    id: str = ""
    parts: list[dict[str, Any]] = field(factory=list)
    tools: dict[str, dict[str, Any]] = field(factory=dict)
    open: dict[str, dict[str, Any]] = field(factory=dict)
    in_step: bool = False
    ended: str = ""

    def read(self, stream: Sequence[dict[str, Any]], *, version: int) -> None:
        """Read one stream from its start to its end."""
        assert stream[0]["type"] == "start"
        self.ended = ""
        for chunk in stream:
            assert not self.ended, f"{chunk} after {self.ended}"
            assert version == 7 or chunk["type"] not in ONLY_V7
            self._read(chunk)
        assert self.ended, "the stream has no end"
        if self.ended == "finish":
            assert not self.in_step, "a step is open at the end"
            assert not self.open, f"{self.open} are open at the end"

    def _read(self, chunk: dict[str, Any]) -> None:
        match chunk:
            case {"type": "start", "messageId": id_}:
                assert self.id in {"", id_}
                self.id = id_
            case {"type": "finish" | "error" | "abort" as kind}:
                self.ended = kind
            case {"type": "start-step"}:
                assert not self.in_step
                self.in_step = True
                self.parts.append({"type": "step-start"})
            case {"type": "finish-step"}:
                assert self.in_step
                self.in_step = False
            case {"type": "text-start" | "reasoning-start" as kind, "id": id_}:
                assert self.in_step
                assert id_ not in {part.get("id") for part in self.parts}
                part = {"type": kind.removesuffix("-start"), "id": id_, "text": ""}
                self.open[id_] = part
                self.parts.append(part)
            case {"type": "text-delta" | "reasoning-delta" as kind, "id": id_, "delta": str(delta)}:
                assert self.open[id_]["type"] == kind.removesuffix("-delta")
                self.open[id_]["text"] += delta
            case {"type": "text-end" | "reasoning-end" as kind, "id": id_}:
                assert self.open.pop(id_)["type"] == kind.removesuffix("-end")
            case {"type": "steering-message", "id": str(), "parts": list()}:
                assert not self.in_step, "a steering message comes before its step"
                self.parts.append(chunk)
            case {"type": "file", "url": str(), "mediaType": str()}:
                self.parts.append(chunk)
            case {"type": str(kind), "data": _} if kind.startswith("data-"):
                if not chunk.get("transient"):
                    self.parts.append(chunk)
            case _:
                self._read_tool(chunk)

    def _read_tool(self, chunk: dict[str, Any]) -> None:
        id_ = chunk.get("toolCallId") or chunk["approvalId"]
        if chunk["type"] == "tool-input-start":
            assert id_ not in self.tools
            assert self.in_step
            part = {"type": "dynamic-tool", "toolCallId": id_, "toolName": chunk["toolName"]}
            self.tools[id_] = part | {"state": "input-streaming", "raw": ""}
            self.parts.append(self.tools[id_])
            assert chunk["dynamic"] is True
            return
        part = self.tools[id_]
        state = part["state"]
        match chunk:
            case {"type": "tool-input-delta", "inputTextDelta": delta}:
                assert state == "input-streaming"
                part["raw"] += delta
            case {"type": "tool-input-available", "input": given, "toolName": _, "dynamic": True}:
                assert state in {"input-streaming", "input-available"}
                part |= {"state": "input-available", "input": given}
            case {"type": "tool-input-error", "errorText": str(), "input": _, "toolName": _}:
                assert state in {"input-streaming", "input-available"}
                part["state"] = "output-error"
            case {"type": "tool-approval-request", "approvalId": approval}:
                assert state == "input-available"
                part |= {"state": "approval-requested", "approval": approval}
            case {"type": "tool-approval-response", "approved": bool(approved)}:
                assert state == "approval-requested"
                part |= {"state": "approval-responded", "approved": approved}
            case {"type": "tool-output-denied"}:
                assert "approval" in part
                part["state"] = "output-denied"
            case {"type": "tool-output-available", "output": output, "dynamic": True}:
                preliminary = chunk.get("preliminary", False)
                assert part.get("final") is None
                part |= {"state": "output-available", "output": output}
                part["final"] = None if preliminary else True
            case {"type": "tool-output-error", "errorText": str(), "dynamic": True}:
                assert part.get("final") is None
                part |= {"state": "output-error", "final": True}
            case _:
                raise AssertionError(f"unknown: {chunk}")

    def check_that_it_waits(self) -> None:
        """The page sends answers by itself if the last step holds questions, and no other call that is not over."""
        last = max(i for i, part in enumerate(self.parts) if part["type"] == "step-start")
        tools = [part for part in self.parts[last:] if part["type"] == "dynamic-tool"]
        waiting = [part for part in self.tools.values() if part["state"] == "approval-requested"]
        assert waiting, "the run waits, but the page has no question"
        assert all(
            part["state"] in {"approval-requested", "approval-responded", "output-denied"}
            or part.get("final")
            or part["state"] == "output-error"
            for part in tools
        ), tools

    def check_that_it_is_over(self) -> None:
        """After the end of a run no call is left without its end."""
        assert self.ended == "finish"
        assert {part["state"] for part in self.tools.values()} <= FINAL
        assert all(
            part["state"] == "output-denied" or part.get("final") or part["state"] == "output-error"
            for part in self.tools.values()
        )

    @property
    def text(self) -> list[str]:
        """The texts, in order."""
        return [part["text"] for part in self.parts if part["type"] == "text"]

    @property
    def content(self) -> list[dict[str, Any]]:
        """The parts without the bounds of steps."""
        return [part for part in self.parts if part["type"] != "step-start"]
