// What is known of this browser's visitor, as it happens.
(function () {
  "use strict";

  const REASONS = {
    fired: "every check passed",
    no_consent: "you have not allowed it",
    expired: "too late to be of use",
    cart_empty: "your cart is empty",
    cart_too_small: "your cart is too small",
    cart_too_old: "your cart is too old",
    already_fired: "you were told about these contents already",
    cooldown: "you were asked a short while ago",
    dwell_too_short: "you had only just arrived",
    holdout: "you are one of the 5 % who are never messaged, so that the others can be compared",
  };
  const lists = { decisions: document.getElementById("decisions"), events: document.getElementById("events") };
  const state = document.getElementById("state");
  const who = document.getElementById("who");
  let source = null;
  let followed = null;

  const HALF_A_DAY = 43200000;
  const time = (ms) =>
    Math.abs(ms - Date.now()) < HALF_A_DAY ? new Date(ms).toLocaleTimeString() : new Date(ms).toLocaleString();
  const shown = (value) =>
    value === null || value === undefined ? "–" : Array.isArray(value) ? value.join(", ") || "–" : String(value);

  function element(name, text, kind) {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  function add(list, kind, title, detail) {
    const item = element("li", "", kind);
    item.append(element("b", title), element("small", detail));
    list.prepend(item);
    while (list.children.length > 60) list.lastChild.remove();
  }

  function record(topic, told) {
    if (topic === "decisions") {
      add(lists.decisions, told.outcome, `${told.kind}: ${told.outcome}`, `${time(told.at_ms)}, ${told.reason}: ${REASONS[told.reason] || ""}`);
    } else if (topic === "triggers") {
      add(lists.decisions, "trigger", `trigger ${told.kind}`, `because of ${told.evidence.join(", ")}; of use until ${time(told.expires_at_ms)}`);
    } else if (topic === "trigger-cancels") {
      add(lists.decisions, "cancel", "trigger cancelled", told.reason);
    } else {
      const about = told.product ? told.product.name || told.product.id : told.url || told.signal || told.order || told.product_id || "";
      const choices = told.purposes && Object.entries(told.purposes).map(([purpose, status]) => `${purpose} ${status}`).join(", ");
      add(lists.events, topic, told.type, `${time(told.at_ms)}  ${choices || about}`);
    }
  }

  function store(told) {
    state.replaceChildren();
    for (const [purpose, choice] of Object.entries(told.consent || {})) {
      state.append(element("dt", purpose), element("dd", `${choice.status} since ${time(choice.at_ms)}`));
    }
    for (const [name, value] of Object.entries(told)) {
      if (name === "consent") continue;
      const isTime = name.endsWith("at_ms") && value;
      state.append(element("dt", name.replace(" at_ms", "")), element("dd", isTime ? time(value) : shown(value)));
    }
    if (!state.children.length) state.append(element("dt", "nothing", "none"));
  }

  function follow() {
    const found = document.cookie.match(/(?:^|; )cartwake_visitor=([^;]+)/);
    const signed = found && found[1];
    if (!signed || signed === followed) return;
    if (source) source.close();
    followed = signed;
    who.textContent = `You are ${signed.split(".")[0]}, a number drawn at random.`;
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
