/** A choice: true is granted, false is denied. */
type Choice = boolean | "granted" | "denied" | "withdrawn";

type Purpose =
  | "analytics"
  | "personalization"
  | "marketing_email"
  | "marketing_sms"
  | "ads"
  | "sale_share";

/** What the edge asks the page to show; `offer` is what the shop has configured. */
interface CartwakeAction {
  trigger_id: string;
  kind: string;
  due_at_ms: number;
  expires_at_ms: number;
  cart: { value_minor: number; currency: string | null; lines: { quantity: number; product: { id: string } }[] };
  offer?: { title: string; text: string; button: string; url: string };
}

interface Cartwake {
  /** Segment's names ("Product Added") or ours ("product_added"); "Order Completed" empties the cart, once for each `order_id`. */
  track(name: string, properties?: object): void;
  /** Send a page view that the script does not see itself: the address stays, or `data-auto` is `off`. */
  page(properties?: object): void;
  /** Does nothing yet. */
  identify(id?: string, traits?: object): void;
  consent(choices: Partial<Record<Purpose, Choice>>): void;
  /** Ask to be forgotten, and keep nothing. */
  erase(): void;
  /** Report what became of an action that the shop shows itself. */
  feedback(triggerId: string, what: "shown" | "clicked" | "dismissed"): void;
  on(name: "action", work: (action: CartwakeAction, event: CustomEvent<CartwakeAction>) => void): void;
  on(name: "cancel", work: (cancelled: { trigger_id: string }, event: CustomEvent) => void): void;
  push(call: [string, ...unknown[]]): void;
}

interface Window {
  cartwake: Cartwake | [string, ...unknown[]][];
}
