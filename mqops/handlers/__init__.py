"""What a message is delivered to. A handler is given one message and answers with an ``outcome``.

    outcome     what a handler can say of a message
    retry       whether and when a failed message is tried again: a pure decision
    invocation  a message on its way to a handler
    http        the webhook handler, made of
      webhook     the request's headers, in the Standard Webhooks form
      signature   signing it, and verifying such a signature
      answer      what the receiver's answer means
      targets     which addresses a tenant's webhooks may reach
      secrets     the value behind a secret's reference

Nothing here knows how messages are stored, and nothing here settles one: that is ``mqops.delivery``.
"""
