/*
 * cartwake.js: tells the edge what a shopper does, once the shopper allows it, and shows what comes back.
 *
 *   <script async src="https://events.shop.example/cartwake.js" data-key="BROWSER KEY"></script>
 *
 * Before consent to `personalization` nothing is stored and nothing is sent, and after a
 * refusal nothing is left. It never throws into the page, and the page never waits for it.
 *
 * README.md beside this file has the attributes and the calls.
 */
(function (window, document) {
  "use strict";

  /** Let nothing of ours reach the page, whatever happens. */
  const safe = (work) => function () {
    try {
      return work.apply(null, arguments);
    } catch (error) {
      return undefined;
    }
  };
  safe(main)();

  function main() {
    const early = window.cartwake;
    if (early && early.loaded) return;

    const { dataset: option, src } = document.currentScript;
    const edge = option.edge || new URL(src || "", location.href).origin;
    const minDwellMs = +(option.minDwell || 4000);
    const idleMs = +(option.idle || 60000);

    const COOKIE = "cartwake_visitor";
    const COOKIE_S = 395 * 86400; // as long as a consent lives without a new one
    const CONSENT = "cartwake.consent";
    const SHOWN = "cartwake.shown";
    const ORDERS = "cartwake.orders";
    const OWED = "cartwake.owed";
    const SESSION_MS = 1800000;
    const MOST_QUEUED = 100;
    const TOGETHER = 20;
    // A browser lets 64 KiB outlive the page; a character is up to three bytes.
    const KEPT_ALIVE = 20000;

    const listen = (target, names, work) =>
      names.split(" ").forEach((name) => target.addEventListener(name, safe(work), { passive: true }));
    const later = (work, ms) => setTimeout(safe(work), ms);
    const clock = () => performance.now(); // never jumps, unlike the one that dates events
    const noop = () => {};

    // ---- Consent.
    let said = {}; // what each source has said on this page
    let told = {}; // what the edge has been told
    let isGranted = false;
    let isRefused = false;
    let signed = null;
    let ticket = null; // opens the stream, for minutes
    let queue = []; // until there is consent it waits here, in memory alone

    /** Hear a choice; what it does not name stays as it was. */
    function choose(source, chosen) {
      const own = (said[source] = said[source] || {});
      for (const name in chosen) {
        const status = { true: "granted", false: "denied" }[chosen[name]] || chosen[name];
        if (/^(granted|denied|withdrawn)$/.test(status)) own[name] = status;
      }
      // Where sources differ, a refusal stands until the one that told it takes it back.
      const choice = {};
      for (const one in said) {
        for (const name in said[one]) if (!/^[dw]/.test(choice[name])) choice[name] = said[one][name];
      }
      if (navigator.globalPrivacyControl) choice.ads = choice.sale_share = "denied";
      if (choice.personalization === "granted") grant(source, choice);
      else if (choice.personalization) {
        end({ type: "consent_updated", purposes: { ...choice, personalization: "withdrawn" }, source });
      }
    }

    function grant(source, choice) {
      const isFirst = !isGranted;
      isGranted = true;
      if (isFirst) {
        isRefused = false;
        told = (known() && read(CONSENT)) || {};
        keepOrders();
      }
      // What was told on an earlier page is no new choice: told again, it would undo a withdrawal
      // that the shopper has made elsewhere in between.
      const news = {};
      for (const name in choice) if (choice[name] !== told[name]) news[name] = choice[name];
      if (Object.keys(news).length) {
        told = { ...told, ...news };
        add({ type: "consent_updated", purposes: news, source }, true);
        if (!signed) queue.unshift(queue.pop());
      }
      // A grant counts from its own moment on: what the shopper was looking at then, counts from then.
      if (isFirst) for (const event of queue) event.at_ms = Date.now();
      if (isFirst) introduce();
    }

    function erase() {
      said = {};
      end({ type: "erasure_requested" });
    }

    /** Say so where there had been consent, on this page or an earlier one, and leave nothing behind. */
    function end(event) {
      const visitor = signed || known();
      // Kept until the edge has it, even over pages: nobody has to say no twice.
      if (visitor) write(OWED, (read(OWED) || []).concat({ ...dated(event), visitor }));
      stop();
      cookie("", 0);
      write(CONSENT);
      write(SHOWN);
      write(ORDERS);
      pay();
    }

    function stop() {
      isGranted = false;
      isRefused = true;
      queue = [];
      orders = [];
      signed = null;
      deafen();
      close();
    }

    // ---- Storage: only ever written with consent, but for a refusal that is still to be told.
    const memory = {}; // for who has none
    const read = (name) => safe(() => JSON.parse(localStorage.getItem(name)))() || memory[name];

    function write(name, value) {
      memory[name] = value;
      safe(() => (value ? localStorage.setItem(name, JSON.stringify(value)) : localStorage.removeItem(name)))();
    }

    function cookie(value, seconds) {
      // A browser drops `Secure` cookies of a page without TLS.
      const safely = location.protocol === "https:" ? ";Secure" : "";
      const put = (domain) => {
        document.cookie = COOKIE + "=" + value + ";Path=/;SameSite=Lax;Max-Age=" + seconds + domain + safely;
      };
      if (option.cookieDomain) put(";Domain=" + option.cookieDomain);
      // One of this host alone may be there from before.
      if (!option.cookieDomain || !value) put("");
    }

    const known = () => (document.cookie.match("(?:^|; )" + COOKIE + "=([^;]+)") || [])[1];

    // ---- Sending: in order, one request at a time, so that consent is stored before what it allows.
    let isSending = false;
    let failures = 0;
    let heldUntil = 0;
    let timer = 0;

    let context; // made for the first event that is sent: asking for the zone takes many ms

    // crypto.randomUUID() is only there on secure pages.
    const id = () =>
      Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, 0)).join("");

    const dated = (fields) => ({ ...fields, id: id(), at_ms: Date.now() });

    /** Queue an event, or let it wait for consent; `urgent` ones are sent at once. */
    function add(fields, urgent) {
      if (isRefused || (queue.length >= MOST_QUEUED && !fields.purposes)) return;
      // As text already here: what cannot be written costs itself only. Half a character (an emoji
      // that was cut) would make the whole request unreadable.
      const text = JSON.stringify(dated(fields)).replace(/\\(ud...|.)/g, (all, code) => (code[1] ? "\ufffd" : all));
      queue.push(JSON.parse(text));
      plan(urgent ? 0 : 50);
    }

    function plan(ms) {
      if (timer && ms) return;
      clearTimeout(timer);
      timer = later(() => {
        timer = 0;
        flush();
      }, Math.max(ms, heldUntil - clock()));
    }

    const url = (path) => edge + path + "?writeKey=" + encodeURIComponent(option.key);
    const eventsUrl = () => url("/v1/events") + "&sentAt=" + Date.now();

    function body(events) {
      context = context || {
        // Some browsers name it as POSIX does: en_US.UTF-8, en-US@posix.
        locale: safe(() => Intl.getCanonicalLocales(navigator.language.replace(/[.@].*/, "").replace(/_/g, "-"))[0])(),
        timezone: safe(() => Intl.DateTimeFormat().resolvedOptions().timeZone)(),
      };
      return JSON.stringify(events.map((event) => ({ ...event, context, visitor: signed })));
    }

    /** Ask the edge, and do some work with its answer, or with after how many ms to ask again. */
    const ask = (where, what, work) =>
      fetch(where, { credentials: "include", signal: safe(() => AbortSignal.timeout(15000))(), ...what })
        .catch(() => new Response("", { status: 503 }))
        .then((answer) => {
          if (answer.status !== 429 && answer.status < 500) {
            failures = heldUntil = 0;
            return answer;
          }
          failures += 1;
          const ms = answer.headers.get("Retry-After") * 1000 || Math.min(30000, 500 * 2 ** failures);
          heldUntil = clock() + ms;
          return ms;
        })
        .then(safe(work));

    // Text, so that no browser has to ask first.
    const post = (text, work) =>
      ask(eventsUrl(), { method: "POST", body: text, keepalive: text.length < KEPT_ALIVE }, work);

    let alone = 0; // so many events are sent one by one: as one request they were refused

    function flush() {
      if (isSending || !signed || !queue.length) return;
      const visitor = signed;
      const events = queue.splice(0, alone ? 1 : TOGETHER);
      if (alone) alone -= 1;
      isSending = true;
      post(body(events), (answer) => {
        isSending = false;
        if (signed !== visitor) return;
        const isSplit = /400|413/.test(answer.status) && events[1];
        if (isSplit) alone = events.length;
        if (answer > 0 || isSplit) queue = events.concat(queue);
        else if (answer.ok && events.some((event) => event.purposes)) write(CONSENT, told);
        plan(0);
      });
    }

    /** Tell of the refusals that the edge has not heard yet. */
    function pay() {
      const owed = read(OWED);
      if (!owed) return;
      post(JSON.stringify(owed), (answer) => {
        if (answer > 0) later(pay, answer);
        // Unless there is another by now; told twice is told once, by its id.
        else if ((read(OWED) || owed).length === owed.length) write(OWED);
      });
    }

    /** Hand everything to the browser, which sends it after the page has gone. */
    function beacon() {
      if (!signed) return;
      const left = queue.slice();
      const give = (events) => navigator.sendBeacon(eventsUrl(), body(events));
      const kept = [];
      while (left.length) {
        const events = left.splice(0, TOGETHER);
        // Together they may be more than the browser takes.
        if (!give(events)) kept.push(...events.filter((event) => !give([event])));
      }
      // While the edge is away they are kept, too: twice is once, by their ids.
      if (!failures) queue = kept;
    }

    function introduce() {
      const before = known();
      if (!isGranted) return;
      // In the body: proxies log addresses.
      ask(url("/v1/visitor"), { method: "POST", body: JSON.stringify({ visitor: before }) }, (answer) => {
        if (answer > 0) return later(introduce, answer);
        if (answer.ok) return answer.json().then(safe(meet), noop);
        if (!before) return;
        // Of a key that is gone: somebody new, who has to be told of from the beginning.
        cookie("", 0);
        told = {};
        choose("edge", told);
        introduce();
      });
    }

    function meet(given) {
      if (!isGranted) return cookie("", 0); // set by an edge of the page's own host
      signed = signed || given.signed;
      ticket = given.ticket;
      // Such an edge has set it already, and its cookie lives longer than one of ours.
      if (known() !== signed) cookie(signed, COOKIE_S);
      attend();
      plan(0);
    }

    // ---- Pages: what is looked at, and for how long.
    let path = "";
    let shownAt = null; // since when it is in view; null while it is not
    let seenMs = 0; // for how long it had been in view before
    let deepest = 0; // how much of it has been in view after a scroll, in percent
    let signalled = {};

    const stay = () => (shownAt === null ? 0 : clock() - shownAt);
    // Addresses may hold names and tokens behind the path.
    const bare = safe((text) => {
      const parts = new URL(text, location.href);
      return parts.origin + parts.pathname;
    });

    function page(properties) {
      const referrer = path || (document.referrer && bare(document.referrer));
      path = bare(location.href);
      shownAt = document.hidden ? null : clock();
      seenMs = deepest = 0;
      signalled = {};
      leftAt = 0;
      // A name, as others have it here, is none of the properties.
      add({ title: document.title, referrer, ...(typeof properties === "object" && properties), type: "page_viewed", url: path });
    }

    /** Tell of a stay on the page; several stays add up to how long it was looked at. */
    function leave() {
      const ms = Math.round(stay());
      if (shownAt !== null && isGranted) add({ type: "page_left", url: path, dwell_ms: ms, scroll_pct: Math.min(100, Math.round(deepest)) });
      seenMs += ms;
      shownAt = null;
    }

    function navigated() {
      if (option.auto === "off" || document.prerendering || bare(location.href) === path) return;
      leave();
      page();
    }

    for (const name of ["pushState", "replaceState"]) {
      const original = history[name];
      history[name] = function () {
        const result = original.apply(this, arguments);
        backs = 0;
        safe(navigated)();
        return result;
      };
    }

    function depart() {
      leave();
      deafen();
      beacon();
    }

    let isLeaving = false;
    let leftAt = 0; // when a phone's shopper turned to another app
    listen(document, "visibilitychange", () => {
      if (document.hidden) {
        // On the way to another page it becomes hidden, too, after `pagehide`. An answer to a signal
        // lives for seconds: who is away on a phone cannot see it, so there it is asked for on the return.
        if (!isLeaving && isPhone()) leftAt = Date.now();
        else if (!isLeaving) signal("tab_hidden");
        depart();
      } else {
        if (Date.now() - leftAt < SESSION_MS) signal("tab_hidden");
        leftAt = 0;
        shownAt = stirredAt = clock();
        attend();
      }
    });
    listen(window, "pagehide", () => {
      isLeaving = true;
      depart();
    });
    listen(window, "pageshow", (event) => {
      isLeaving = false;
      if (!event.persisted) return;
      // Meanwhile refused on another page, or somebody new.
      if (signed && known() !== signed) return stop();
      page();
      attend();
    });
    // Another tab has heard the refusal.
    listen(window, "storage", (event) => event.key === CONSENT && !event.newValue && stop());

    const isPhone = () => matchMedia("(hover:none)").matches;

    // ---- Exit signals: raw, and few; whether one counts is decided elsewhere.
    function signal(kind, raw, dwellMs) {
      const dwell_ms = Math.round(dwellMs || seenMs + stay());
      if (!isGranted || signalled[kind] || dwell_ms < minDwellMs || dialog) return;
      signalled[kind] = true;
      add({ type: "exit_signalled", signal: kind, dwell_ms, url: path, ...raw }, true);
    }

    function isTyping() {
      let focused = document.activeElement;
      while (focused && focused.shadowRoot) focused = focused.shadowRoot.activeElement;
      return focused && focused.matches("input,textarea,select,[contenteditable]");
    }

    let pointer = { y: 0, at: 0, velocity: 0 };
    listen(document, "mousemove", (event) => {
      const y = event.clientY;
      const at = clock();
      pointer = { y, at, velocity: (y - pointer.y) / Math.max(1, at - pointer.at) };
    });

    listen(document.documentElement, "mouseleave", (event) => {
      const { clientX: x, clientY: y } = event;
      // To a scrollbar the pointer leaves at the side; over a menu of the browser's a field has the focus.
      if (y > 20 || x < 0 || x >= document.documentElement.clientWidth || isTyping()) return;
      if (pointer.velocity < 0 || y < pointer.y) signal("pointer_left_top", { x, y, velocity: pointer.velocity });
    });

    // A scroll is the shopper's while a hand is at it: a button "to the top" is none.
    let handAt = -9999;
    listen(window, "wheel touchmove", () => {
      handAt = clock();
    });
    let scrolled = { y: 0, at: 0 };
    let run = scrolled; // where the way up began
    listen(window, "scroll", () => {
      const y = scrollY;
      const at = clock();
      deepest = Math.max(deepest, (100 * (y + innerHeight)) / document.documentElement.scrollHeight);
      if (y >= scrolled.y || at - scrolled.at > 150) run = { y: Math.max(y, scrolled.y), at: at - 16 };
      scrolled = { y, at };
      const velocity = (run.y - y) / (at - run.at);
      if (run.y - y > 400 && velocity > 2 && at - handAt < 1000) signal("fast_scroll_up", { y, velocity });
    });

    let stirredAt = clock();
    listen(window, "mousemove keydown touchstart scroll click", () => {
      stirredAt = clock();
    });
    (function watch() {
      const left = idleMs - (clock() - stirredAt);
      if (left <= 0 && !document.hidden && !isTyping()) signal("idle", { idle_ms: idleMs });
      later(watch, left > 0 ? left : 1000);
    })();

    // Back, and back again, to where the visit began; one step back is how people look around.
    const landing = bare(location.href);
    let backs = 0;
    listen(window, "popstate", () => {
      const here = bare(location.href);
      if (here !== path) backs += 1;
      if (backs > 1 && here === landing) signal("back_navigation", { steps: backs }, clock());
      navigated();
    });

    // ---- Actions: what the edge sends back. Only a page in view listens: a browser opens few streams
    // at a time, and what is still of use on the return the edge sends again.
    let source = null;
    let poller = 0;
    let refusals = 0;
    let dialog = null;
    const done = {}; // by trigger_id: shown or taken back

    const actionsUrl = () => edge + "/v1/actions?ticket=" + encodeURIComponent(ticket);

    function attend() {
      if (source || poller || !signed || document.hidden) return;
      if (!window.EventSource || refusals > 2) return poll();
      source = new EventSource(actionsUrl());
      source.onopen = () => {
        refusals = 0;
      };
      source.onerror = safe(() => {
        refusals += 1;
        if (source.readyState < 2 && refusals < 3) return; // the browser comes back itself
        source.close();
        source = null;
        later(introduce, 2000); // for a new ticket
      });
      listen(source, "action", (message) => receive(JSON.parse(message.data)));
      listen(source, "cancel", (message) => cancel(JSON.parse(message.data).trigger_id));
    }

    function poll() {
      const look = () =>
        fetch(actionsUrl() + "&poll=1")
          .then((answer) => {
            if (answer.status === 403) introduce(); // for a new ticket
            return answer.json();
          })
          .then((news) => {
            news.cancelled.forEach(cancel);
            news.actions.forEach(receive);
          })
          .catch(noop);
      poller = setInterval(look, 5000);
      look();
    }

    function deafen() {
      if (source) source.close();
      clearInterval(poller);
      source = null;
      poller = refusals = 0;
    }

    function cancel(trigger_id) {
      done[trigger_id] = 1;
      if (dialog && dialog.trigger_id === trigger_id) close();
      document.dispatchEvent(new CustomEvent("cartwake:cancel", { detail: { trigger_id } }));
    }

    /** Show an action in one tab, once. */
    function receive(action) {
      const { trigger_id } = action;
      const take = () => {
        const shown = read(SHOWN) || [];
        if (!isGranted || document.hidden || dialog || done[trigger_id] || shown.includes(trigger_id)) return;
        done[trigger_id] = 1;
        const event = new CustomEvent("cartwake:action", { detail: action, cancelable: true });
        const isOurs = document.dispatchEvent(event);
        // A page on which nothing shows it leaves it to another.
        if (isOurs && option.dialog === "off") return;
        write(SHOWN, shown.concat(trigger_id).slice(-20));
        if (isOurs) open(action);
      };
      if (navigator.locks) navigator.locks.request("cartwake", take).catch(noop);
      else take();
    }

    const feedback = (trigger_id, what) => add({ type: "action_" + what, trigger_id }, true);

    // ---- The dialog: the browser's own, in a shadow, so that the shop's styles and ours stay apart.
    const STYLE =
      ":host{all:initial;position:fixed}" +
      "dialog{width:26rem;max-width:calc(100vw - 2rem);padding:0;border:0;border-radius:var(--cartwake-radius,12px);" +
      "outline:0;background:var(--cartwake-background,#fff);color:var(--cartwake-color,#1c1c1e);font:16px/1.5 system-ui;box-shadow:0 1rem 3rem #0004}" +
      "::backdrop{background:#0007}div{padding:2rem}" +
      "h2{margin:0 2rem .5rem 0;font-size:1.4em;line-height:1.25}p{margin:0 0 1.5rem}" +
      "a{display:inline-block;padding:.7rem 1.4rem;border-radius:6px;background:var(--cartwake-accent,#1c1c1e);" +
      "color:#fff;text-decoration:none;font-weight:600}" +
      "button{position:absolute;top:.75rem;right:.75rem;width:2.5rem;height:2.5rem;border:0;" +
      "background:0;color:inherit;font:1.5rem/1 system-ui;cursor:pointer}";

    // Without an offer it names what is in the cart, and leads there.
    const reminder = (cart) => ({
      title: "Your cart is still here",
      text: safe(() => cart.lines.map(({ product, quantity }) => quantity + " \u00d7 " + (product.name || product.id)).join(", "))(),
      button: option.cartLabel || "Go to your cart",
      url: option.cart || "/cart",
    });

    function open({ trigger_id, cart, offer = reminder(cart) }) {
      const host = document.createElement("cartwake-dialog");
      const shadow = host.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet(); // a style that the strictest policy allows
      sheet.replaceSync(STYLE);
      shadow.adoptedStyleSheets = [sheet];
      const put = (parent, name, part, text, work) => {
        const made = document.createElement(name);
        made.textContent = text;
        made.id = part;
        made.setAttribute("part", part);
        if (work) made.addEventListener("click", safe(work));
        parent.append(made);
        return made;
      };
      let isFollowed = false;
      // The content covers all of the dialog: a click on the dialog itself is one beside it.
      const box = put(shadow, "dialog", "dialog", "", (event) => event.target === box && box.close());
      const content = put(box, "div", "content", "");
      put(content, "h2", "title", offer.title);
      put(content, "p", "text", offer.text);
      box.setAttribute("aria-labelledby", "title");
      box.setAttribute("aria-describedby", "text");
      const leadsTo = safe(() => new URL(offer.url, location.href).protocol)();
      // To a page: a link of another kind could run something.
      if (offer.button && offer.url && /^https?:$/.test(leadsTo)) {
        put(content, "a", "button", offer.button, () => {
          isFollowed = true;
          feedback(trigger_id, "clicked");
          box.close();
        }).href = offer.url;
      }
      put(content, "button", "close", "\u00d7", () => box.close()).setAttribute("aria-label", option.closeLabel || "Close");
      box.addEventListener("close", safe(() => {
        host.remove();
        if (dialog !== box) return;
        dialog = null;
        if (!isFollowed) feedback(trigger_id, "dismissed");
      }));
      document.body.append(host);
      dialog = box;
      dialog.trigger_id = trigger_id;
      box.showModal();
      // Not on the link: who was about to press Enter did not mean it.
      box.tabIndex = -1;
      box.focus();
      feedback(trigger_id, "shown");
    }

    /** Take the dialog away without a word from the shopper. */
    function close() {
      const box = dialog;
      dialog = null;
      if (box) box.close();
    }

    // ---- Other people's ways of saying the same.
    const GOOGLE = {
      analytics_storage: "analytics",
      personalization_storage: "personalization",
      // Not that one, too: who agrees to advertising has not agreed to this.
      ad_personalization: "ads",
      ad_storage: "ads",
      ad_user_data: "ads",
    };
    const CART_EVENTS =
      /^(view_item(_list)?|search|(add_to|remove_from|view)_cart|begin_checkout|add_(shipping|payment)_info|purchase)$/;
    const google = {};

    /** One purpose of ours may be several of theirs: then one refusal refuses it. */
    function hearGoogle(given) {
      Object.assign(google, given); // an update names what it changes
      const choice = {};
      for (const name in GOOGLE) {
        const purpose = GOOGLE[name];
        if (choice[purpose] !== "denied") choice[purpose] = google[name] || choice[purpose];
      }
      choose("google_consent_mode", choice);
    }

    const hear = safe((entry) => {
      // gtag() pushes its `arguments`, Tag Manager plain objects. A default is no choice.
      if (entry[0] === "consent" && entry[1] === "update") hearGoogle(entry[2]);
      const name = entry[0] === "event" ? entry[1] : entry.event;
      if (CART_EVENTS.test(name)) forward("ga4", name, { event: name, ecommerce: entry[2] || entry.ecommerce || entry });
    });

    /** What others speak, the edge understands: it has the mappers. */
    function forward(vendor, name, call) {
      // That something was bought only a server can say; that the cart is empty then, a page can, and
      // nobody is reminded of what is theirs.
      if (!/^(purchase|order completed)$/i.test(name)) return add({ type: "vendor_event", vendor, call });
      const { transaction_id, order_id } = call.ecommerce || call.properties;
      const order = "" + (transaction_id || order_id || id());
      // Phones load a thank-you page again, days later: by then there may be a new cart.
      if (orders.concat(read(ORDERS) || []).includes(order)) return;
      orders.push(order);
      if (isGranted) keepOrders();
      add({ type: "cart_updated", lines: [] });
    }

    let orders = []; // of this page; stored only with consent
    function keepOrders() {
      if (!orders.length) return;
      write(ORDERS, (read(ORDERS) || []).concat(orders).slice(-50));
      orders = [];
    }

    function hearShopify() {
      const given = window.Shopify.customerPrivacy.currentVisitorConsent();
      const status = (text) => ({ yes: "granted", no: "denied" }[text]); // empty: no choice yet
      const ads = status(given.marketing);
      // Their marketing is advertising: a yes asks for no mails. A no is a no to those, too.
      const mails = ads === "denied" ? ads : null;
      choose("shopify", {
        analytics: status(given.analytics),
        personalization: status(given.preferences),
        ads,
        sale_share: status(given.sale_of_data),
        marketing_email: mails,
        marketing_sms: mails,
      });
    }

    let sources = [
      () => {
        const layer = window.dataLayer;
        layer.forEach(hear);
        const push = layer.push;
        layer.push = function () {
          Array.from(arguments).forEach(hear);
          return push.apply(this, arguments);
        };
      },
      () =>
        // https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework
        window.__tcfapi("addEventListener", 2, safe((data, isOk) => {
          if (!isOk || data.gdprApplies === false || data.eventStatus === "cmpuishown") return;
          const all = (...numbers) => numbers.every((number) => data.purpose.consents[number]);
          // 1 is storing anything at all; 5 and 6 are profiles for content, 3 and 4 for advertising.
          choose("iab_tcf", { personalization: all(1, 5, 6), analytics: all(1, 8), ads: all(1, 2, 3, 4) });
        })),
      hearShopify,
    ];
    /** Look for those who are there, and for a while for those who come later. */
    function seek(times) {
      sources = sources.filter((find) => {
        try {
          find();
        } catch (error) {
          return true; // not there yet
        }
      });
      if (times) later(() => seek(times - 1), 500);
    }

    // ---- The page's side.
    const api = {
      track: (name, properties) =>
        /^[a-z_]+$/.test(name)
          ? add({ ...properties, type: name })
          : forward("segment", name, { type: "track", event: name, properties: properties || {} }),
      page,
      identify: noop,
      consent: (chosen) => choose("api", chosen),
      erase,
      feedback,
      on: (name, work) => document.addEventListener("cartwake:" + name, (event) => work(event.detail, event)),
      push: (call) => api[call[0]].apply(null, Array.from(call).slice(1)),
    };
    const calls = Array.isArray(early) ? early : [];
    for (const name in api) {
      const work = safe(api[name]);
      api[name] = (...values) => (document.prerendering ? calls.push([name, ...values]) : work(...values));
    }
    api.loaded = true;
    window.cartwake = api;

    function start() {
      later(pay, 500); // not while the page loads
      if (option.auto !== "off") page();
      calls.forEach(api.push);
      listen(document, "visitorConsentCollected", hearShopify);
      seek(60);
    }

    // A page that a browser makes ready in advance has not been looked at; it may never be.
    if (document.prerendering) listen(document, "prerenderingchange", start);
    else start();
  }
})(window, document);
