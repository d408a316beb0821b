"""The e-mailer: reads triggers, and sends each shopper one mail for each, or none.

    trigger ─► directory (address) ─► cap, quiet hours, pace ─► template ─► recheck ─► SMTP

The address is requested right before a mail and stored nowhere: not in Kafka, not in a log, not in
a metric. Redis has a keyed hash of it (`people`).
"""
