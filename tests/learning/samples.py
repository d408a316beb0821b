"""Made-up examples from which something can be learnt."""

import math
import random

from stream.domain.predictions import AFTER_ADD
from stream.domain.records import Example


def example(features, label, model=AFTER_ADD, number=0):
    """Return an example with what the trainer does not look at filled in."""
    return Example(
        example_id=str(number),
        model=model,
        features=features,
        label=label,
        predicted=0.5,
        version=0,
        at_ms=number,
    )


def examples(count, seed=7, model=AFTER_ADD):
    """Return examples in which pages speak for a purchase, and one country against it."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        pages, country = chance.random() * 2, chance.choice(["DE", "US", "FR"])
        log_odds = 2 * pages - 2 - 2 * (country == "FR")
        label = chance.random() < 1 / (1 + math.exp(-log_odds))
        features = {"now.pages": round(pages, 4), f"country={country}": 1.0}
        made.append(example(features, label, model, number))
    return made
