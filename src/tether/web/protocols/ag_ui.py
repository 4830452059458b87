"""The endpoints of AG-UI 1.0, for `HttpAgent({url: ".../ag-ui"})` and what is built on it, such as CopilotKit.

    POST /ag-ui, /ag-ui/{id}    RunAgentInput; without an id in the path, its threadId is the conversation
    POST /ag-ui/{id}/stop       {} ends the run

A request says what the user has said since the last reply, answers interrupts (`resume`), or does neither: then it
comes back to a run that goes. Where the client lacks messages of the conversation, it gets them all first.
A reader that leaves ends no run: `stop` does.
"""

from collections.abc import Collection, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tether import Message, MessageEnd, UserMessage
from tether.host import Conversation
from tether.web.protocols.ag_ui_events import AgUiRun
from tether.web.protocols.ag_ui_messages import messages_as_ag_ui
from tether.web.protocols.ag_ui_requests import (
    RunAgentInput,
    gist_of,
    new_messages,
    verdicts_in,
)
from tether.web.protocols.content import Json
from tether.web.protocols.telling import (
    LastRun,
    Opening,
    Telling,
    go_on_from_answers,
    last_run,
    say_instead_of_answering,
)
from tether.web.site import Site

__all__ = ("routes",)


def routes(site: Site) -> Sequence[BaseRoute]:
    """Make the routes of the protocol."""

    async def run(request: Request) -> Response:
        body = await site.json(request, RunAgentInput)
        verdicts = verdicts_in(body)
        id_ = request.path_params.get("id", body.thread_id)
        talk = await site.conversation(request, id_, create=True)
        new = new_messages(body, _known(talk))
        last = await last_run(talk)
        if verdicts:
            fold = _fold(body, last)
            after = go_on_from_answers(talk, last, fold, verdicts)
            for message in new:
                talk.say(message)
            opening = Opening(fold, list(fold.begin()), "follow_answers")
            return Telling(talk, lambda _: opening, run=LastRun(), after=after)
        for message in new:
            say_instead_of_answering(talk, message)
        if new:
            return _told_from(talk, body, last, new)
        return _joined(talk, body, last)

    async def stop(request: Request) -> Response:
        talk = await site.conversation(request, request.path_params["id"])
        talk.abort()
        return JSONResponse({})

    return [
        Route("/ag-ui", run, methods=["POST"]),
        Route("/ag-ui/{id}", run, methods=["POST"]),
        Route("/ag-ui/{id}/stop", stop, methods=["POST"]),
    ]


def _fold(body: RunAgentInput, run: LastRun) -> AgUiRun:
    known = [message.id for message in body.messages]
    return AgUiRun(body.thread_id, body.run_id, known=known, before=run.before)


def _told_from(
    talk: Conversation, body: RunAgentInput, last: LastRun, new: Sequence[UserMessage]
) -> Telling:
    """Tell a run from where it takes up what was said."""

    def begun(run: LastRun) -> Opening:
        fold = _drained(body, run, run.number)
        return Opening(fold, fold.begin(_snapshot([*run.messages, *new], body)))

    return Telling(talk, begun, run=last, after=last.number, said=new[0].id)


def _joined(talk: Conversation, body: RunAgentInput, last: LastRun) -> Telling:
    """Tell a run from the end of its last message on: its reply from the beginning, if one is arriving."""
    ends = [number for number, event in last.events if isinstance(event, MessageEnd)]
    settled = last.number if last.is_over else max(ends, default=last.number)

    def begun(run: LastRun) -> Opening:
        fold = _drained(body, run, settled)
        chunks = [*fold.begin(_whole(run.messages, body))]
        if run.is_over:
            return Opening(fold, [*chunks, *fold.end()], "end")
        return Opening(fold, chunks)

    return Telling(talk, begun, run=last, after=settled)


def _drained(body: RunAgentInput, run: LastRun, until: int) -> AgUiRun:
    """A fold that has taken in the events of a run up to a number."""
    fold = _fold(body, run)
    for number, event in run.events:
        if number <= until:
            for _ in fold.take(event):
                pass
    return fold


def _snapshot(messages: Sequence[Message], body: RunAgentInput) -> list[Json] | None:
    """The conversation, if the client has another: some of it is missing, or was cut off when it left."""
    told = messages_as_ag_ui(messages)
    known = {message.id: message.gist for message in body.messages}
    same = all(known.get(message["id"]) == gist_of(message) for message in told)
    return None if same else told


def _whole(messages: Sequence[Message], body: RunAgentInput) -> list[Json]:
    """The conversation, in which nothing is left of a reply that will be told from its beginning."""
    told = messages_as_ag_ui(messages)
    ids = {message["id"] for message in told}
    # Clients keep reasoning that a snapshot does not mention.
    cut_off = [m.id for m in body.messages if m.role == "reasoning" and m.id not in ids]
    return [*told, *({"id": id_, "role": "reasoning", "content": ""} for id_ in cut_off)]


def _known(talk: Conversation) -> Collection[str]:
    return {id_ for id_, _ in talk.snapshot().items} | {one.id for one in talk.queued}
