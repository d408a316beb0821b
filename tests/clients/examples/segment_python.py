import segment.analytics as analytics

analytics.write_key = "trial-server"
analytics.host = "http://localhost:8080"

visitor = {"anonymous_id": "segment-python"}
consent = {"categoryPreferences": {"Functional": True, "marketing_email": True}}
mug = {"product_id": "mug", "name": "Mug", "price": 12.9, "currency": "EUR", "quantity": 1}

analytics.track(**visitor, event="Segment Consent Preference Updated", context={"consent": consent})
analytics.track(**visitor, event="Product Viewed", properties=mug)
analytics.track(**visitor, event="Product Added", properties=mug)
analytics.flush()

# THE JOURNEY
analytics.gzip = True
failures = []
analytics.on_error = lambda error, items: failures.append(str(error))
order = {"order_id": "o-1", "total": 12.9, "currency": "EUR", "products": [mug]}
denied = {"consent": {"categoryPreferences": {"Functional": False}}}
analytics.identify("u-1", {"plan": "gold"}, **visitor)
analytics.page(**visitor, name="Cart", properties={"url": "https://shop.example/cart"})
analytics.track(**visitor, event="Cart Viewed", properties={"currency": "EUR", "products": [mug]})
analytics.track(**visitor, event="Checkout Started", properties=order)
analytics.track("u-1", **visitor, event="Order Completed", properties=order)
analytics.track(**visitor, event="Order Refunded", properties=order)
analytics.track(**visitor, event="Product Added", properties=mug, context=denied)
analytics.flush()
analytics.shutdown()
print(failures)
