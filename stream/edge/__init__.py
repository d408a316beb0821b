"""``cartwake edge``: where storefronts and browsers meet the log, over HTTP.

``collector`` takes events and answers once Kafka has them; ``gateway`` brings on-site triggers back
to the page that they are for; ``script`` is what the page loads. The one rule: nothing is kept here
that another edge would need, so any number may run behind a load balancer.
"""
