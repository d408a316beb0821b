import { Webhook } from "standardwebhooks";

const webhook = new Webhook("whsec_YSBzZWNyZXQgb2YgdGhpcyB0ZXN0"); // one of the endpoint's secrets

// The body as it came, as text: parsed and written again, it has another signature.
function receive(body, headers) {
  const message = webhook.verify(body, headers); // throws if secret, body or time is wrong
  return `${message.type} for ${message.data.visitor}`;
}

// THE JOURNEY
import { readFileSync } from "node:fs";

for (const [body, headers] of JSON.parse(readFileSync(0))) {
  try {
    console.log(receive(body, headers));
  } catch (error) {
    console.log(error.message);
  }
}
