// What is known of this browser's visitor, as it happens.
(function () {
  "use strict";

  const KINDS = { cart_abandonment: "A mail about your cart", exit_intent: "An offer before you leave" };
  const REASONS = {
    fired: "every check passed",
    no_consent: "you have not allowed it",
    expired: "it would have come too late",
    cart_empty: "your cart is empty",
    cart_too_small: "your cart is too small",
    cart_too_old: "your cart is too old",
    already_fired: "you were reminded of these contents already",
    cooldown: "you got an offer a short while ago",
    dwell_too_short: "you had only just arrived",
    holdout: "you are one of those who never get a message, so that the effect can be measured",
    consent_refused: "you have withdrawn your consent",
    consent_expired: "your consent has expired",
    erased: "you asked to be forgotten",
  };
  const EVENTS = {
    page_viewed: "You looked at a page",
    product_viewed: "You looked at a product",
    product_list_viewed: "You looked at a list",
    products_searched: "You searched",
    page_left: "You left a page",
    exit_signalled: "You were about to leave",
    product_added: "You put something into the cart",
    product_removed: "You took something out of the cart",
    cart_updated: "Your cart has new contents",
    checkout_started: "You went to the checkout",
    order_completed: "You placed an order",
    consent_updated: "You made a choice",
    erasure_requested: "You asked to be forgotten",
  };
  const SIGNALS = {
    pointer_left_top: "the pointer left through the top",
    tab_hidden: "the tab was hidden",
    back_navigation: "you went back to where you began",
    fast_scroll_up: "you scrolled up fast",
    idle: "you did nothing for a while",
  };
  const OUTCOMES = {
    action_shown: "it was shown",
    action_clicked: "you followed it",
    action_dismissed: "you closed it",
    message_sent: "the mail was sent",
    message_refused: "the mail server refused it",
    message_skipped: "no mail was sent",
    message_bounced: "the mail came back",
    message_clicked: "you followed the mail's link",
    message_unsubscribed: "you ended the mails",
  };
  const lists = { decisions: document.getElementById("decisions"), events: document.getElementById("events") };
  const state = document.getElementById("state");
  const who = document.getElementById("who");
  let source = null;
  let followed = null;

  const words = (name) => name.replace(/_/g, " ");
  // Of today the time, of other days the date as well.
  const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const time = (ms) => (new Date(ms).toDateString() === new Date().toDateString() ? CLOCK : DATE).format(ms);
  const shown = (value) =>
    value === null || value === undefined ? "–" : Array.isArray(value) ? value.join(", ") || "–" : String(value);

  function element(name, text, kind) {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  function add(list, kind, title) {
    const item = element("li", "", kind);
    item.append(element("b", title));
    list.prepend(item);
    while (list.children.length > 60) list.lastChild.remove();
    return item;
  }

  // One entry for each decision. What became of its trigger is added there.
  let decided = new Map();
  function decision(kind, triggerId, outcome) {
    const known = triggerId && decided.get(triggerId);
    if (known) return known;
    const title = `${KINDS[kind] || words(kind)}: ${outcome === "fired" ? "yes" : "no"}`;
    const made = add(lists.decisions, outcome, title);
    if (triggerId) decided.set(triggerId, made);
    return made;
  }

  function record(topic, told) {
    const why = REASONS[told.reason] || words(told.reason || "");
    if (topic === "decisions") {
      const item = decision(told.kind, told.trigger_id, told.outcome);
      item.firstChild.after(element("small", `${time(told.at_ms)}: ${why}`));
    } else if (topic === "triggers") {
      const item = decision(told.kind, told.trigger_id, "fired");
      item.append(element("small", `from ${told.evidence.length} of your events; of use until ${time(told.expires_at_ms)}`));
    } else if (topic === "trigger-cancels") {
      decision(told.kind, told.trigger_id, "fired").append(element("small", `taken back: ${why}`));
    } else if (told.trigger_id) {
      const item = decided.get(told.trigger_id);
      const what = (OUTCOMES[told.type] || words(told.type)) + (why && `: ${why}`);
      if (item) item.append(element("small", `${time(told.at_ms)}: ${what}`));
    } else {
      const product = told.product && (told.product.name || told.product.id);
      const choices = told.purposes && Object.entries(told.purposes).map(([purpose, status]) => `${words(purpose)} ${status}`).join(", ");
      const about = choices || product || told.title || SIGNALS[told.signal] || told.order || told.product_id || "";
      add(lists.events, topic, EVENTS[told.type] || words(told.type)).append(element("small", `${time(told.at_ms)}  ${about}`));
    }
  }

  function store(told) {
    state.replaceChildren();
    for (const [purpose, choice] of Object.entries(told.consent || {})) {
      state.append(element("dt", words(purpose)), element("dd", `${choice.status} since ${time(choice.at_ms)}`));
    }
    for (const [name, value] of Object.entries(told)) {
      if (name === "consent") continue;
      const isTime = name.endsWith("at_ms") && value;
      state.append(element("dt", name.replace(" at_ms", "")), element("dd", isTime ? time(value) : shown(value)));
    }
    if (!state.children.length) state.append(element("dt", "so far"), element("dd", "nothing"));
  }

  function follow() {
    const found = document.cookie.match(/(?:^|; )cartwake_visitor=([^;]+)/);
    const signed = found && found[1];
    if (!signed || signed === followed) return;
    if (source) source.close();
    followed = signed;
    who.textContent = `You are known by a random number alone: ${signed.split(".")[0]}`;
    decided = new Map();
    for (const list of Object.values(lists)) list.replaceChildren();
    source = new EventSource(`/live/stream?visitor=${encodeURIComponent(signed)}`);
    source.onmessage = (message) => {
      const told = JSON.parse(message.data);
      if (told.kind === "state") store(told.state);
      else record(told.topic, told.record);
    };
  }

  // The choice was made in the shop; here it is only known, so that it can be taken back.
  const choices = () => JSON.parse(localStorage.getItem("cartwake.consent") || "{}");
  window.cartwake = window.cartwake || [];
  window.cartwake.push(["consent", choices()]);
  document.getElementById("withdraw").addEventListener("click", () => {
    window.cartwake.push(["consent", { personalization: "withdrawn", marketing_email: "withdrawn" }]);
  });
  document.getElementById("erase").addEventListener("click", () => window.cartwake.push(["erase"]));
  window.setInterval(follow, 500);
  follow();
})();
