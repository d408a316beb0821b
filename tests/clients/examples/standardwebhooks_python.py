from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook("whsec_YSBzZWNyZXQgb2YgdGhpcyB0ZXN0")  # one of the endpoint's secrets


# The body as it came, as text: parsed and written again, it has another signature.
def receive(body, headers):
    message = webhook.verify(body, headers)  # raises if secret, body or time is wrong
    return f"{message['type']} for {message['data']['visitor']}"


# THE JOURNEY
import json  # noqa: E402
import sys  # noqa: E402

for body, headers in json.load(sys.stdin):
    try:
        print(receive(body, headers))
    except WebhookVerificationError as error:
        print(error)
