"""Other engines on the abandoned-cart job, and Cartwake beside them on the same events."""
