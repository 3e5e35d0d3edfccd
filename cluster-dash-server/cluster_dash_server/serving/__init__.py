"""`cluster-dash-server serve`: waitress with what a site needs that anybody can reach.

waitress parses, queues and answers. Added here: an event loop whose cost doesn't grow with idle connections,
deadlines for slow requests and readers, room for newcomers when all connections are taken, refusals in our words, an
end in order.
"""
