"""Perform one request to the model, and keep what arrived when it is cut off."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Literal

from attrs import evolve, frozen

from tether._engine.estimate import SentRequest, usage_so_far
from tether._engine.parts import RunServices
from tether._engine.pauses import WithoutPauses
from tether._engine.request import build_request
from tether._engine.unread_calls import MARK, deltas_of, unread_call
from tether._scopes.exceptions import PlainModelErrors, in_words
from tether.deltas import PartialReply, ReplyEnd, ReplyInfo
from tether.errors import ModelError
from tether.events import Event, MessageEnd, MessageStart, MessageUpdate, ModelRetry
from tether.hooks import Hook, RequestContext, call_hook, checked
from tether.messages import (
    AssistantMessage,
    CustomMessage,
    Failure,
    StopReason,
    Usage,
)
from tether.model import (
    AlternativeModels,
    DeltaStream,
    Model,
    ModelRequest,
    RetryPolicy,
)
from tether.transcript import with_unique_calls

__all__ = ("ModelCall",)

_FACTS = (ReplyInfo, ReplyEnd)
"""Deltas that belong to no block; a tuple, as a union would be made anew for each delta."""

_Stream = Callable[[ModelRequest], AbstractAsyncContextManager[DeltaStream]]


class ModelCall:
    """One request to the model, from the transcript to the reply.

    Args:
        services: what belongs to the run that asks.
    """

    __slots__ = (
        "_announced",
        "_failure",
        "_id",
        "_partial",
        "_parts",
        "_publishing",
        "_sent",
        "_services",
        "_settings",
        "_started_at",
    )

    def __init__(self, services: RunServices) -> None:
        self._services = services
        self._parts = services.parts
        self._id = services.parts.new_id()
        self._started_at = services.parts.now()
        self._partial = PartialReply()
        self._announced = False
        # While this is set, an exception comes from a listener or a consumer, and not from the model.
        self._publishing = False
        self._failure: Failure | None = None
        # None where none was, or where it was refused.
        self._sent: SentRequest | None = None

    async def perform(self) -> AssistantMessage:
        """Ask the model and publish its reply as it arrives.

        Returns:
            The reply; incomplete (`aborted`) where the run interrupted it, and with an `error` where the model
            failed, the exception being left in the run's live view.

        Raises:
            Exception: what a hook raised.

        Cancellation:
            At every await; `close_nowait` then returns what had arrived.
        """
        live = self._services.live
        live.usage = self._usage_so_far
        try:
            return await self._perform()
        finally:
            live.usage = Usage

    async def _perform(self) -> AssistantMessage:
        live, control = self._services.live, self._services.control
        # Not sooner, as it may raise: to make a performer does not.
        self._settings = self._parts.settings()
        live.error = None
        error: ModelError | None = None
        if control.ending is None:
            with control.interruptible():
                try:
                    with PlainModelErrors():
                        await self._ask_within_bounds()
                except ModelError as failure:
                    error = None if await self._takes_for_a_call(failure) else failure
        await self._announce()
        reply = self._partial.complete
        if reply is None:
            live.error = error
            self._failure = None if error is None else error.failure
            return self._partial_result()
        for hook in self._parts.hooks.at("after_model"):
            reply = await call_hook(hook, reply) or reply
        return self._stamped(reply)

    async def _takes_for_a_call(self, error: ModelError) -> bool:
        """Make a reply of a call that the server could not read, if the request has failed for that."""
        call = unread_call(error, self._parts.transcript, self._settings.tools)
        if call is None or self._has_begun:
            return False
        await self._announce()
        for delta in deltas_of(call):
            self._partial.add(delta)
            await self._publish(MessageUpdate(delta))
        reply = evolve(self._partial.preview(), stop_reason="tool_calls", details={MARK: True})
        self._partial.add(ReplyEnd(evolve(reply, usage=self._usage_so_far())))
        return True

    def close_nowait(self) -> AssistantMessage:
        """Announce the reply, if it was not, and return it as far as it has arrived, without waiting."""
        if not self._announced:
            self._services.publisher.publish_nowait(MessageStart(self._beginning()))
        return self._partial_result()

    def _partial_result(self) -> AssistantMessage:
        reason: StopReason = "aborted" if self._failure is None else "error"
        reply = self._partial.incomplete(reason, self._failure)
        return self._stamped(evolve(reply, usage=self._usage_so_far()))

    def _usage_so_far(self) -> Usage:
        reply = self._partial.complete
        if reply is not None:
            return reply.usage
        reply = self._partial.incomplete("aborted")
        if self._sent is None:
            return reply.usage
        return usage_so_far(self._sent.tokens, reply)

    async def _ask_within_bounds(self) -> None:
        """Ask; where the conversation is too long, let the hooks shorten it, once."""
        request = await self._request("turn")
        refusal: ModelError | None = None
        try:
            await self._ask(self._settings.model, request)
        except ModelError as error:
            if error.kind != "context_overflow" or self._has_begun:
                raise
            refusal = error
        if refusal is None:
            return
        shorter = await self._request("overflow")
        if shorter.messages == request.messages:
            raise refusal
        await self._services.publisher.publish(ModelRetry(1, 0.0, refusal.failure))
        await self._ask(self._settings.model, shorter)

    async def _request(self, reason: Literal["turn", "overflow"]) -> ModelRequest:
        settings = self._settings
        context = RequestContext(
            reason,
            settings.model,
            settings.system,
            [tool.spec for tool in settings.tools.values()],
            self._side_request,
            self._record,
        )
        return await build_request(self._parts, self._settings, context)

    async def _side_request(self, request: ModelRequest) -> AssistantMessage:
        """Make a request that is not part of the conversation."""
        partial = PartialReply()
        stream = await self._stream(self._settings.model)
        with PlainModelErrors():
            async with stream(request) as deltas:
                async for delta in deltas:
                    partial.add(delta)
        if partial.complete is None:
            raise ModelError("the reply stopped before its end", kind="malformed")
        self._parts.ledger.count(partial.complete)
        return partial.complete

    async def _record(self, message: CustomMessage) -> None:
        parts, publisher = self._parts, self._services.publisher
        stamped = parts.stamp(message)
        parts.transcript.append(stamped)
        if parts.tap is not None:
            parts.tap.recorded(stamped)
        parts.record(stamped)
        await parts.flushed()
        await publisher.publish(MessageStart(stamped))
        await publisher.publish(MessageEnd(stamped))

    async def _ask(self, model: Model, request: ModelRequest) -> None:
        """Ask a model; of models that stand in for each other, one after the other."""
        if not isinstance(model, AlternativeModels):
            await self._follow_with_retries(model, request)
            return
        for number, alternative in enumerate(model.alternatives, 1):
            try:
                await self._ask(alternative, request)
            except ModelError as error:
                is_last = number == len(model.alternatives)
                if self._has_begun or is_last or not model.passes_on(alternative, error):
                    raise
                failure = error.failure
            else:
                return
            await self._services.publisher.publish(ModelRetry(number, 0.0, failure))
        raise ModelError(f"{model.name} has no alternatives to ask", kind="internal")

    async def _follow_with_retries(self, model: Model, request: ModelRequest) -> None:
        try:
            await self._follow(model, request)
        except ModelError as error:
            policy: object = getattr(model, "retry", None)
            if not isinstance(policy, RetryPolicy) or not self._may_retry(policy, error):
                raise
            await self._retry(policy, model, request, error)

    def _may_retry(self, policy: RetryPolicy, error: Exception) -> bool | float:
        """Say whether to ask again, and after how long: never once the reply has begun."""
        return False if self._has_begun else policy.wants(error)

    def _waits(self, policy: RetryPolicy) -> Callable[[Exception], bool | float]:
        """Make what says of each failure in a row whether to ask again, and after how long."""
        failures = count()

        def wait(error: Exception) -> bool | float:
            wanted, before = self._may_retry(policy, error), next(failures)
            if wanted is not True:
                return wanted
            chance = self._parts.random()
            return min(policy.wait_max, policy.wait_initial * (2.0 ** min(before, 64) + chance))

        return wait

    async def _retry(
        self, policy: RetryPolicy, model: Model, request: ModelRequest, error: ModelError
    ) -> None:
        import logging  # noqa: PLC0415 - only where something failed

        import stamina  # noqa: PLC0415 - likewise

        # Who has set up logging reads of retries there; a program that has not gets no stray lines.
        if not (logger := logging.getLogger("stamina")).handlers:
            logger.addHandler(logging.NullHandler())
        failed = error
        async for attempt in stamina.retry_context(
            on=self._waits(policy),
            attempts=policy.attempts,
            timeout=None,
            wait_initial=policy.wait_initial,
            wait_max=policy.wait_max,
            wait_jitter=0.0,
        ):
            with attempt:
                if attempt.num == 1:
                    raise error
                try:
                    await self._follow(model, request)
                except ModelError as again:
                    failed = again
                    raise
                return
            if attempt.num < policy.attempts and self._may_retry(policy, failed):
                delay = failed.retry_after if failed.retry_after is not None else attempt.next_wait
                await self._services.publisher.publish(
                    ModelRetry(attempt.num, delay, failed.failure)
                )

    async def _follow(self, model: Model, request: ModelRequest) -> None:
        try:
            with PlainModelErrors():
                await self._receive(model, request)
        except ModelError as error:
            if not self._has_begun and error.failed_generation is None:
                self._sent = None
            raise
        except Exception as bug:
            if not self._publishing:
                self._failure = Failure("internal", in_words(bug))
            raise

    def _count_given_up(self) -> None:
        """Count what was reported of an attempt in whose place another is made."""
        if self._partial.usage != Usage():
            self._parts.ledger.count(self._partial.incomplete("error"))

    async def _stream(self, model: Model) -> _Stream:
        """Connect a model; a request to it is made within the hooks."""
        stream: _Stream = (await self._services.resources.connected(model)).stream
        for hook in reversed(self._parts.hooks.at("around_model")):
            stream = _Wrapped(hook, _Proceed(model, stream))
        return stream

    async def _receive(self, model: Model, request: ModelRequest) -> None:
        self._count_given_up()
        self._partial = self._services.live.partial = PartialReply(model=model.name)
        stream = await self._stream(model)
        self._sent = SentRequest(request)
        tap = self._parts.tap
        if tap is not None:
            tap.requested(model, request)
        async with stream(request) as deltas:
            add, offer = self._partial.add, self._services.publisher.offer
            with WithoutPauses(deltas) as pause:
                async for delta in deltas:
                    add(delta)
                    if isinstance(delta, _FACTS):
                        if tap is not None:
                            tap.arrived(delta)
                        continue
                    event = MessageUpdate(delta)
                    if not (self._announced and offer(event)):
                        pause()
                        await self._announce()
                        await self._publish(event)
        if self._partial.complete is None:
            raise ModelError("the reply stopped before its end", kind="malformed")

    @property
    def _has_begun(self) -> bool:
        """Whether a block of the reply has begun. Facts about it, such as its id, are no beginning: nobody saw them."""
        return self._announced or self._partial.complete is not None

    async def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            await self._publish(MessageStart(self._beginning()))

    async def _publish(self, event: Event) -> None:
        self._publishing = True
        await self._services.publisher.publish(event)
        self._publishing = False

    def _beginning(self) -> AssistantMessage:
        return AssistantMessage(
            (),
            model=self._partial.model,
            api=self._partial.api,
            stop_reason=None,
            id=self._id,
            timestamp=self._started_at,
        )

    def _stamped(self, reply: AssistantMessage) -> AssistantMessage:
        # A model may leave open why its reply ended; the transcript does not.
        reason: StopReason = "tool_calls" if reply.tool_calls else "stop"
        return with_unique_calls(
            evolve(
                reply,
                stop_reason=reply.stop_reason or reason,
                id=self._id,
                timestamp=self._started_at,
            )
        )


@frozen(eq=False, repr=False)
class _Proceed:
    """A `ProceedModel`."""

    model: Model
    stream: _Stream

    def __call__(self, request: ModelRequest, /) -> AbstractAsyncContextManager[DeltaStream]:
        return self.stream(request)


@frozen(eq=False, repr=False)
class _Wrapped:
    """A request within a hook."""

    hook: Hook
    proceed: _Proceed

    def __call__(self, request: ModelRequest, /) -> AbstractAsyncContextManager[DeltaStream]:
        opened: AbstractAsyncContextManager[DeltaStream]
        opened = self.hook.function(request, self.proceed)
        return checked(self.hook, opened)
