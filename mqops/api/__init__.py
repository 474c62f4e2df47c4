"""The data plane's HTTP API, on ``falcon.asgi``.

``app`` is the route table. A resource takes what it needs by constructor, reads its request and calls what does the
work: ``publisher``, ``puller``, ``settling``, ``health``. None of them maps a status: errors know no HTTP, and
``errors`` is the one place where they become answers. Publishing is the hot path: it uses no media handler and no
middleware, reads the body once and writes its answer by hand.
"""
