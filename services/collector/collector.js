/* Headrace's collector: records searches, impressions, clicks and carts by data attributes (docs/web-shop.md). */
(() => {
  "use strict";
  const script = document.currentScript || document.querySelector('script[src*="collector.js"]');
  const options = script.dataset;
  const base = options.headraceCollector || new URL(".", script.src).href.replace(/\/$/, "");
  const untracked = navigator.globalPrivacyControl || navigator.doNotTrack === "1";
  const SECOND = 1000, SESSION = 30 * 60 * SECOND, BATCH = 50, QUEUE = 500, ATTEMPTS = 8, CARRIED = 200;
  const CARD = "[data-headrace-product]", LIST = "[data-headrace-query]";

  // What is remembered: on this device with full consent, else as long as the page lives.
  const memory = new Map();
  let consent = "anonymous";
  const read = (key) => {
    try {
      if (consent === "full") return JSON.parse(localStorage.getItem("headrace." + key));
    } catch (error) { /* no storage here, or not ours */ }
    return memory.get(key);
  };
  const write = (key, value) => {
    memory.set(key, value);
    try {
      if (consent === "full") localStorage.setItem("headrace." + key, JSON.stringify(value));
    } catch (error) { /* full, or there is none */ }
    return value;
  };
  const id = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const session = () => {
    const before = read("session");
    const alive = before && before.until > Date.now();
    return write("session", { id: alive ? before.id : id(), until: Date.now() + SESSION }).id;
  };
  const who = () => ({
    application: options.headraceApplication,
    session_id: session(),
    client_id: consent === "full" ? read("client") || write("client", id()) : undefined,
  });

  // "full", "anonymous" (nothing is stored, no client id) or "none" (nothing is sent); a browser that asks not to
  // be tracked stays anonymous. What is taken back is deleted.
  const allowed = (wanted) => (wanted === "none" || (wanted === "full" && !untracked) ? wanted : "anonymous");
  function setConsent(wanted) {
    const before = consent;
    consent = allowed(wanted);
    if (consent === "full") {
      for (const [key, value] of memory) if (read(key) === null) write(key, value);
      return consent;
    }
    if (before === "full") memory.clear();
    if (consent === "none") queue = [];
    try {
      for (const key of ["client", "session", "carried", "queue"]) localStorage.removeItem("headrace." + key);
    } catch (error) { /* there is none */ }
    return consent;
  }

  // What is sent: a bounded queue, in batches, again after a failure, with a beacon when the page goes.
  let queue = [];
  let timer = 0, sending = false, failures = 0;
  const post = (path, message) => {
    if (consent === "none") return;
    queue.push({ path, message });
    queue = queue.slice(-QUEUE);
    later(SECOND / 2);
  };
  const later = (wait) => { timer = timer || setTimeout(flush, wait); };

  function take() {
    const path = queue[0].path;
    let size = 0, count = 0;
    while (count < BATCH && count < queue.length && queue[count].path === path && size < 40000) {
      size += JSON.stringify(queue[count].message).length * 2;
      count += 1;
    }
    const batch = queue.splice(0, count);
    const body = JSON.stringify(batch.map((item) => item.message));
    return { batch, body, url: `${base}${path}?sent=${Date.now()}` };
  }

  async function flush() {
    clearTimeout(timer);
    timer = 0;
    if (sending || !queue.length || navigator.onLine === false) return;
    const { batch, body, url } = take();
    let wait = 0;
    sending = true;
    try {
      // A text needs no preflight; keepalive lets it arrive when the page is left meanwhile.
      const answer = await fetch(url, { method: "POST", body, keepalive: true, credentials: "omit" });
      if (answer.status >= 500 || answer.status === 429 || answer.status === 408) {
        wait = 1 + (Number(answer.headers.get("Retry-After")) || 0);
      } else {
        const said = await answer.json();
        if (!answer.ok || said.rejected.length) console.warn("headrace:", said.detail || said.rejected);
      }
    } catch (error) {
      wait = 1;
    }
    sending = false;
    failures = wait ? failures + 1 : 0;
    if (failures > ATTEMPTS) console.warn(`headrace: ${batch.length} events were given up`);
    else if (wait) queue = [...batch, ...queue].slice(-QUEUE);
    const backoff = Math.min(60, 2 ** failures) * (0.5 + Math.random() / 2);
    if (queue.length) later(wait ? Math.max(wait, backoff) * SECOND : 0);
  }

  function leave() {
    const offline = navigator.onLine === false;
    while (queue.length && !offline) {
      const { batch, body, url } = take();
      if (!navigator.sendBeacon(url, body)) {
        queue = [...batch, ...queue];
        break;
      }
    }
    if (consent === "full" && queue.length) write("queue", [...(read("queue") || []), ...queue.splice(0)].slice(-QUEUE));
  }
  function resume() {
    queue = [...(read("queue") || []), ...queue];
    write("queue", []);
    if (queue.length) later(SECOND / 2);
  }

  // Which search a product came from: on the card, else from the click that led here.
  function place(element) {
    const card = element.closest(CARD), list = card.closest(LIST);
    const cards = list ? [...list.querySelectorAll(CARD)] : [];
    return {
      product: card.dataset.headraceProduct,
      query_id: list ? list.dataset.headraceQuery : undefined,
      position: Number(card.dataset.headracePosition) || cards.indexOf(card) + 1 || undefined,
    };
  }

  function record(action, product, at = {}) {
    const carried = read("carried") || [];
    const known = carried.find((one) => one.product === product);
    const { query_id, position } = at.query_id ? at : known || at;
    if (at.query_id && action !== "impression") {
      write("carried", [{ product, query_id, position }, ...carried.filter((one) => one !== known)].slice(0, CARRIED));
    }
    post("/events", {
      event_id: at.event_id || id(),
      action_name: action,
      timestamp: new Date().toISOString(),
      query_id,
      ...who(),
      event_attributes: { object: { object_id: product }, position: position ? { ordinal: position } : undefined },
    });
  }

  // An impression: half of the card (or half of the window) in view for a second, once a search.
  const seen = new Set(), timers = new Map();
  const impression = (card) => {
    const at = place(card), key = JSON.stringify([at.query_id, at.product]);
    timers.delete(card);
    if (!at.query_id || seen.has(key) || !card.isConnected) return;
    seen.add(key);
    record("impression", at.product, at);
  };
  const forget = (card) => {
    clearTimeout(timers.get(card));
    timers.delete(card);
  };
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting, intersectionRatio, intersectionRect, rootBounds } of entries) {
      const large = rootBounds && intersectionRect.height >= rootBounds.height / 2;
      if (!isIntersecting || (intersectionRatio < 0.5 && !large) || document.hidden) forget(target);
      else if (!timers.has(target)) timers.set(target, setTimeout(impression, SECOND, target));
    }
  }, { threshold: [0, 0.25, 0.5, 0.75, 1] });
  const watch = (root) => {
    for (const card of [...(root.matches(CARD) ? [root] : []), ...root.querySelectorAll(CARD)]) {
      forget(card);
      observer.unobserve(card); // so that it is looked at anew: it may show another product now
      observer.observe(card);
    }
  };
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      for (const node of type === "attributes" ? [target] : addedNodes) if (node.nodeType === 1) watch(node);
    }
  }).observe(document.documentElement, {
    subtree: true,
    childList: true,
    attributeFilter: ["data-headrace-product", "data-headrace-query"],
  });

  // A link in a list is a click on its product; whatever else counts says its action.
  const clicked = (event) => {
    if (!event.isTrusted || event.button > 1 || !event.target.closest) return;
    const target = event.target.closest("[data-headrace-action], a[href]");
    const card = target && target.closest(CARD);
    if (!card || !(target.dataset.headraceAction || card.closest(LIST))) return;
    const at = place(card);
    record(target.dataset.headraceAction || "click", at.product, at);
  };

  async function search(request) {
    const body = JSON.stringify({ ...who(), log: consent !== "none", ...request });
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(`${options.headraceSearch}/search`, { method: "POST", headers, body, credentials: "omit" });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.detail);
    return said;
  }

  function query({ query_id = id(), user_query, products }) {
    post("/queries", { query_id, user_query, timestamp: new Date().toISOString(), ...who(), query_response_hit_ids: products });
    return query_id;
  }

  consent = allowed(options.headraceConsent);
  resume();
  watch(document.documentElement);
  addEventListener("click", clicked, true);
  addEventListener("auxclick", clicked, true);
  addEventListener("online", flush);
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      leave();
      [...timers.keys()].forEach(forget);
    } else {
      resume();
      watch(document.documentElement);
    }
  });
  window.headrace = Object.freeze({
    search,
    query,
    record,
    click: (product, at) => record("click", product, at),
    cart: (product, at) => record("add_to_cart", product, at),
    purchase: (products, order) => products.forEach((product) =>
      record("purchase", product, order ? { event_id: `${order}:${product}`.slice(0, 100) } : {})),
    consent: setConsent,
    flush,
  });
})();
