"""``cartwake edge``: the HTTP side of Cartwake, for shops and browsers.

``collector`` takes events and answers once Kafka has acknowledged them. ``gateway`` sends on-site
triggers to the page of their visitor. ``script`` is the script that pages load. An edge keeps
nothing that another edge would need, so any number may run behind a load balancer.
"""
