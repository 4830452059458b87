"""How a run is carried out: what performs the loop's requests, and what belongs to one run while it goes.

Who is who. An `Agent` is configuration, a transcript and an inbox; it lives as long as its program likes, holds nothing
of an event loop, and begins runs, one at a time. A `Driver` is the one task of a run, the producer of its event stream:
it owns the loop (a generator, which decides), the connections of the run and its publisher, from the run's first event
to its last. A `Run` is the handle that the block of `agent.run` is given: it owns nothing, shows the live view of the
run, interrupts it by its `RunControl`, and speaks to it through the agent's inbox until the run is over. All that the
performers of a run's requests share is in its `RunServices`, made when the driver starts and dropped with it; what
outlasts the run, the transcript and the inbox, is the agent's.

    conversation    what an agent has said and heard, and the run that continues it now
    line            one run at a time: the others wait in line
    active_run      a run from when it is asked for until it is over
    around          the hooks around a run
    driver          resumes the loop, publishes its events, has its requests performed, closes the run
    model_call      one request to the model: hooks, retries, alternatives, the reply as far as it has arrived
    request         what the model is sent: the transcript, as hooks let it be seen
    tool_calls      the calls of one reply: a scope each, deadlines, threads, results in order
    refusals        what a model reads of a call that cannot run
    holdups         which call a run waits for that was cancelled
    reports         what one call reports while it runs
    interruption    what is in flight and how it is interrupted; how the run ends
    publisher       events to listeners and consumers
    resources       models connected for the run, and the place for tasks of its tools
    background      tasks that tools start to outlive their calls
    ledger          what the run may spend, and has spent
    lease           the claim on a conversation, kept while a run goes
    inbox           messages that wait for the run
    unread_calls    calls that the model's server could not read
    estimate        what a reply has used that ends early
    output          the result of a type that a run is asked for
    turn_settings   the agent as one turn sees it
    parts           the above put together
"""
