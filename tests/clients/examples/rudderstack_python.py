import rudderstack.analytics as rudder

rudder.write_key = "trial-server"
rudder.dataPlaneUrl = "http://localhost:8080"

visitor = {"anonymous_id": "rudderstack-python"}
consent = {"allowedConsentIds": ["C0003", "marketing_email"], "deniedConsentIds": ["C0004"]}
mug = {"product_id": "mug", "name": "Mug", "price": 12.9, "currency": "EUR", "quantity": 1}

rudder.track(**visitor, event="Consent Management Updated", context={"consentManagement": consent})
rudder.track(**visitor, event="Product Viewed", properties=mug)
rudder.track(**visitor, event="Product Added", properties=mug)
rudder.flush()

# THE JOURNEY
failures = []
rudder.default_client.on_error = lambda error, items: failures.append(str(error))
order = {"order_id": "o-1", "total": 12.9, "currency": "EUR", "products": [mug]}
denied = {"consentManagement": {"allowedConsentIds": [], "deniedConsentIds": ["C0003"]}}
rudder.identify("u-1", {"plan": "gold"}, **visitor)
rudder.page(**visitor, name="Cart", properties={"url": "https://shop.example/cart"})
rudder.track(**visitor, event="Cart Viewed", properties={"currency": "EUR", "products": [mug]})
rudder.track(**visitor, event="Checkout Started", properties=order)
rudder.track("u-1", **visitor, event="Order Completed", properties=order)
rudder.track(**visitor, event="Order Refunded", properties=order)
rudder.track(**visitor, event="Product Added", properties=mug, context=denied)
rudder.flush()
print(failures)
