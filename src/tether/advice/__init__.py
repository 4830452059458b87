"""What people need, made of hooks and advice alone: each a function that makes what is to be installed.

    agent.around_model(rate_limit(10, per=60))
    agent.hooks.add("before_tool", approval(ask))

They use nothing but what `tether` exports, so that what is missing here can be written the same way.
"""
