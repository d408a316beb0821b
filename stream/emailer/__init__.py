"""The reference e-mailer: reads triggers, and sends each shopper one mail for each, or none.

    trigger ─► directory (who is that?) ─► cap, quiet hours, pace ─► template ─► asked again ─► SMTP

The one rule: an address is asked for right before a mail and kept nowhere: not in Kafka, not in
Redis, not in a log, not in a metric.
"""
