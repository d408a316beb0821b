// The shop's own page: products, cart, order. Of Cartwake it uses what any shop would.
(function () {
  "use strict";

  const CART = "tea-house-cart"; // strictly necessary, and only once something is in it
  const REFUSED = "tea-house-refused"; // a no, so that nobody is asked again in this session
  const CHOICES = {
    all: { personalization: true, marketing_email: true, analytics: true },
    some: { personalization: true, marketing_email: false },
    none: { personalization: false, marketing_email: false },
  };
  const COLOURS = { tea: ["#dfe8d2", "#2f6b4f"], pots: ["#ecdccb", "#a8643a"], tools: ["#dde4ea", "#46627c"] };
  const main = document.getElementById("main");
  const banner = document.getElementById("consent");
  let products = [];
  let lines = JSON.parse(sessionStorage.getItem(CART) || "{}");

  window.cartwake = window.cartwake || [];
  const tell = (...call) => window.cartwake.push(call);
  const money = (minor) => new Intl.NumberFormat("en", { style: "currency", currency: "EUR" }).format(minor / 100);
  const find = (id) => products.find((one) => one.id === id);
  const total = () => Object.entries(lines).reduce((sum, [id, count]) => sum + find(id).price_minor * count, 0);
  const told = (one) => ({ product_id: one.id, name: one.name, category: one.category, price: one.price_minor / 100, currency: "EUR" });

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  function picture(one) {
    const [ground, ink] = COLOURS[one.category];
    const shapes = {
      tea: '<path d="M100 40c32 18 40 52 4 84-36-32-36-66-4-84z"/><path d="M100 60v56" stroke="GROUND" stroke-width="3"/>',
      pots: '<path d="M62 74h70v26a30 30 0 0 1-30 30h-10a30 30 0 0 1-30-30z"/><path d="M132 84h8a12 12 0 0 1 0 24h-8M62 92 44 78" fill="none" stroke="INK" stroke-width="7"/><path d="M84 70a13 9 0 0 1 26 0z"/>',
      tools: '<path d="M94 36h12v52H94z"/><path d="M84 88h32l-6 42H90z"/>',
    };
    const holder = element("div", { class: "picture" });
    const shape = shapes[one.category].replace(/INK/g, ink).replace(/GROUND/g, ground);
    holder.innerHTML = `<svg viewBox="0 0 200 160" aria-hidden="true"><rect width="200" height="160" fill="${ground}"/><g fill="${ink}">${shape}</g></svg>`;
    return holder.firstChild;
  }

  function keep() {
    if (Object.keys(lines).length) sessionStorage.setItem(CART, JSON.stringify(lines));
    else sessionStorage.removeItem(CART);
    document.getElementById("count").textContent = Object.values(lines).reduce((sum, count) => sum + count, 0);
  }

  function put(one) {
    lines[one.id] = (lines[one.id] || 0) + 1;
    keep();
    tell("track", "Product Added", { ...told(one), quantity: 1 });
    location.hash = "#/cart";
  }

  function take(one) {
    delete lines[one.id];
    keep();
    tell("track", "Product Removed", told(one));
    show();
  }

  function visitor() {
    const found = document.cookie.match(/(?:^|; )cartwake_visitor=([^;]+)/);
    return found && found[1];
  }

  async function order() {
    tell("track", "Checkout Started", {});
    const answer = await fetch("/order", { method: "POST", body: JSON.stringify({ visitor: visitor(), lines }) });
    const done = await answer.json();
    lines = {};
    keep();
    main.replaceChildren(
      element("h1", {}, "Thank you"),
      element("p", { class: "lead" }, `Order ${done.order}, ${money(done.total_minor)}. Nobody will remind you of this cart.`),
      element("a", { class: "next", href: "#/" }, "Back to the teas")
    );
    main.focus();
  }

  function home() {
    tell("page", { title: "Teas", url: location.href });
    const cards = products.map((one) =>
      element("li", {}, element("a", { class: "card", href: `#/product/${one.id}` }, picture(one),
        element("div", {}, element("h2", {}, one.name), element("span", { class: "kind" }, one.category),
          element("p", { class: "price" }, money(one.price_minor))))));
    main.replaceChildren(element("h1", {}, "Quiet cups"),
      element("p", { class: "lead" }, "Leaves from small gardens, and what is needed to brew them."),
      element("ul", { class: "grid" }, ...cards));
  }

  function product(one) {
    tell("track", "Product Viewed", told(one));
    main.replaceChildren(element("div", { class: "detail" },
      element("div", { class: "picture" }, picture(one)),
      element("div", {}, element("h1", {}, one.name), element("p", { class: "kind" }, one.category),
        element("p", { class: "price" }, money(one.price_minor)),
        element("p", {}, "Packed by hand, sent the same day."),
        element("button", { class: "primary", type: "button", id: "add", onclick: () => put(one) }, "Put into the cart"))));
  }

  function cart() {
    tell("page", { title: "Cart", url: location.href });
    const rows = Object.entries(lines).map(([id, count]) =>
      element("li", {}, element("span", {}, `${count} × ${find(id).name}`),
        element("span", {}, money(find(id).price_minor * count), " ",
          element("button", { class: "quiet", type: "button", "aria-label": `Remove ${find(id).name}`, onclick: () => take(find(id)) }, "Remove"))));
    main.replaceChildren(element("h1", {}, "Your cart"));
    if (!rows.length) {
      main.append(element("p", { class: "lead" }, "There is nothing in it yet."), element("a", { class: "next", href: "#/" }, "To the teas"));
      return;
    }
    main.append(element("ul", { class: "lines" }, ...rows),
      element("p", { class: "total" }, element("span", {}, "Total"), element("span", {}, money(total()))),
      element("button", { class: "primary", type: "button", id: "order", onclick: order }, "Place the order"));
  }

  // A mail's button leads here: what was in the cart then is in it again.
  async function restore() {
    const token = new URLSearchParams(location.search).get("cartwake_cart");
    if (!token) return;
    const edge = new URL(document.querySelector("script[data-key]").src).origin;
    const answer = await fetch(`${edge}/v1/carts/${token}`);
    if (!answer.ok) return;
    const then = (await answer.json()).lines.filter((one) => find(one.product_id));
    lines = Object.fromEntries(then.map((one) => [one.product_id, one.quantity]));
    history.replaceState(null, "", "/#/cart");
  }

  function show() {
    const [, page, id] = location.hash.split("/");
    if (page === "product" && find(id)) product(find(id));
    else if (page === "cart") cart();
    else home();
    main.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }

  for (const button of banner.querySelectorAll("button")) {
    button.addEventListener("click", async () => {
      banner.hidden = true;
      const isRefusal = button.dataset.choice === "none";
      if (isRefusal) sessionStorage.setItem(REFUSED, "yes");
      else sessionStorage.removeItem(REFUSED);
      // Any other shop's visitors get their ids of the edge alone; the demo's must not be held out.
      if (!isRefusal && !visitor()) await fetch("/visitor", { method: "POST" });
      tell("consent", CHOICES[button.dataset.choice]);
    });
  }
  document.getElementById("privacy").addEventListener("click", () => {
    banner.hidden = false;
    banner.querySelector("button").focus();
  });

  fetch("/catalogue.json").then((answer) => answer.json()).then((found) => {
    products = found;
    return restore();
  }).then(() => {
    keep();
    show();
    window.addEventListener("hashchange", show);
    // Who has agreed before is known by the script's own cookie.
    if (visitor()) tell("consent", JSON.parse(localStorage.getItem("cartwake.consent") || "{}"));
    else banner.hidden = sessionStorage.getItem(REFUSED) !== null;
  });
})();
