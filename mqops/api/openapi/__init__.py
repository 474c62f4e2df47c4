"""The OpenAPI 3.1 description of the HTTP API, generated: bodies from the model, answers and errors from the table in
``operations``. A test holds that table to the routes there are, and ``schemas/openapi.json`` to what is generated.
"""
