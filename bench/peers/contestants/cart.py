"""The cart rules as a user would factor them out: pure functions on a JSON-able session dict.
Shared by the Python contestants so that they differ by engine, not by rule code."""

import hashlib
import os

GAP = 1_800_000


def new(t):
    return {"last": t, "cart": {}, "purchased": False, "consent": None}


def apply(s, e):
    ty = e["type"]
    s["last"] = e["at_ms"]
    if ty == "page_view":
        return
    cart = s["cart"]
    if ty == "cart_add":
        for it in e["items"]:
            old = cart.get(it["sku"])
            cart[it["sku"]] = [(old[0] if old else 0) + it["qty"], it["price"]]
    elif ty == "cart_remove":
        for it in e["items"]:
            old = cart.get(it["sku"])
            if old:
                old[0] -= it["qty"]
                if old[0] <= 0:
                    del cart[it["sku"]]
    elif ty == "purchase":
        s["cart"] = {}
        s["purchased"] = True
    elif ty == "consent":
        s["consent"] = e["granted"]


def close(v, s):
    """The session of visitor v is over: its trigger or None; the session part of s is reset."""
    r = None
    if s["cart"]:
        if s["consent"] and not s["purchased"]:
            r = trigger(v, s)
        s["cart"] = {}
    s["purchased"] = False
    return r


def trigger(v, s):
    ls = [[k, q, p] for k, (q, p) in sorted(s["cart"].items())]
    return {
        "trigger_id": hashlib.md5(f"{v}:{s['last']}".encode()).hexdigest()[:16],
        "visitor": v,
        "cart_value": sum(q * p for _, q, p in ls),
        "lines": ls,
    }


def immediate(v, s, e):
    """exit_signal: a trigger at once (latency runs)."""
    if e["type"] == "exit_signal" and s["cart"] and s["consent"] and not s["purchased"]:
        r = trigger(v, s)
        r["cause"] = e["id"]
        return r
    return None


class Progress:
    """Prints the two lines the runner waits for."""

    def __init__(self, total):
        self.total, self.n = total, 0

    def add(self, k=1):
        n = self.n
        self.n = n + k
        if n == 0:
            os.write(1, b"BENCH first\n")  # not print: some engines redirect sys.stdout
        if n < self.total <= n + k:
            os.write(1, b"BENCH done\n")
