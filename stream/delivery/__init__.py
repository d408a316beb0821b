"""From a published trigger to somebody who acts on it, once: shared by e-mailer and webhooks.

    triggers, trigger-cancels, message-feedback of the last day ─► what is owed, and from when on
    owed ─► the visitor's state, once it holds all that Kafka holds now ─► an objection, or the act
    the act's outcome ─► message-feedback, acknowledged ─► nothing is owed any more
    a cancel of what was sent ─► owed, too, and told without asking anybody

The one rule: the log is the only memory. Whoever starts reads what has been done from the log, so
that no other store has to agree with it; and who acts asks once more right before.
"""
