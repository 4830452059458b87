"""`tether top`: any Prometheus or OpenMetrics endpoint, live in a terminal.

exposition native            a page of metrics to samples, no I/O
catalogue history            what the series are, and what they were for half an hour; no I/O, no clock
quantiles figures table      rates, means, quantiles; rows in the order of a person's choice
text units columns ...       what is drawn, as plain data
view screen                  what a person has chosen, and the screen that follows from it
endpoint scrape watch        what awaits: addresses, requests, one task for each server
application pipes            a full-screen application in a thread; lines for programs
"""
