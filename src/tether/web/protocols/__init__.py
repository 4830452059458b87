"""The protocols that front ends of others speak, each a fold from the events of a run to dictionaries.

    vercel         the UI message stream of the AI SDK, versions 6 and 7
    ag_ui          AG-UI 1.0
    openai_chat    OpenAI's chat completions

The folds do no I/O. What they share is in `runs` (which run an event belongs to, and when its calls wait for a person)
and in `blocks` (the blocks of its replies, under ids that stay the same each time they are sent).
"""
