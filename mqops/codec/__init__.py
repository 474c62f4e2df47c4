"""How messages are written: the envelope beside the payload (``envelope``), and payload formats (``payload``).

Codecs are pure: bytes in, values out. They know neither stores nor HTTP.
"""
