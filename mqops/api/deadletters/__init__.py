"""Dead letters over HTTP: listed, shown, redriven, discarded.

query    which are meant: filters, and where a long look goes on
scan     going through the partitions of a topic, a look at a time
read     ``GET …/deadletters`` and ``GET …/deadletters/{id}``
redrive  where each goes, and getting it there: once, whoever is killed on the way
act      ``POST …/deadletters/redrive`` and ``…/discard``, some thousand a request
"""
