"""From a published trigger to a message, sent once: shared by e-mailer and webhooks.

    triggers, trigger-cancels, message-feedback of the last day ─► pending deliveries
    pending delivery ─► the visitor's state, once it includes all that Kafka holds ─► recheck, send
    the outcome ─► message-feedback, acknowledged ─► the delivery is settled
    a cancel of what was sent ─► a pending delivery as well, sent without a recheck

The log is the only memory. A program that starts reads from the log what has been done, so that no
other store has to agree with it, and each delivery is checked once more right before it is sent.
"""
