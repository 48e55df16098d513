/* A small shop: it searches by Headrace, and the collector records what its shoppers do by data attributes. */
"use strict";
const $ = (selector, root = document) => root.querySelector(selector);
const PAGE = 12, CATEGORIES = ["shoes", "jackets", "tents", "packs", "bags", "lamps", "stoves", "bottles", "socks", "hats", "gloves", "poles"];
const COLORS = ["moss", "sky", "sun", "slate", "peat", "ember"];
const IDEAS = ["trail shoe", "waterproof jacket", "tent for two", "warm in winter", "something for the rain"];
const money = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" });
const known = new Map(); // products by id, as the last searches showed them
const cart = [];
let search = { query: "", query_id: undefined, hits: [] };

// Texts of the catalogue are only ever text: no markup is made of them.
function fill(element, id, fields) {
  element.dataset.headraceProduct = id;
  const tile = $(".tile", element);
  tile.className = `tile ${COLORS.includes(fields.color) ? fields.color : COLORS[[...id].reduce((sum, sign) => sum + sign.codePointAt(0), 0) % COLORS.length]}`;
  $("use", tile).setAttribute("href", `#${CATEGORIES.includes(fields.category) ? fields.category : "other"}`);
  $(".maker", element).textContent = fields.brand || "";
  $("h1, h2", element).textContent = fields.title || id;
  $(".price", element).textContent = typeof fields.price === "number" ? money.format(fields.price) : "";
}

function card({ product_id, fields, rank }) {
  const item = $("#card").content.cloneNode(true).firstElementChild;
  fill(item, product_id, fields);
  item.dataset.headracePosition = rank;
  $("a", item).href = `#product/${encodeURIComponent(product_id)}`;
  const add = $(".add", item);
  add.setAttribute("aria-label", `Add ${fields.title || product_id} to the cart`);
  add.addEventListener("click", () => put(product_id));
  return item;
}

async function look(query, more = false) {
  const status = $("#status"), asked = more ? search : { query, query_id: undefined, hits: [] };
  search = asked;
  status.className = "status";
  status.textContent = more ? "Looking for more …" : "Looking …";
  $("#heading").textContent = query;
  if (!more) $("#results").replaceChildren();
  $("#more").hidden = true;
  try {
    // Further pages are the same search: its id, and more hits.
    const answer = await headrace.search({ query, query_id: asked.query_id, k: asked.hits.length + PAGE });
    if (search !== asked) return; // another search was begun meanwhile
    for (const hit of answer.hits) known.set(hit.product_id, hit.fields);
    const fresh = answer.hits.slice(asked.hits.length);
    search = { query, query_id: answer.query_id, hits: answer.hits };
    $("#results").dataset.headraceQuery = answer.query_id;
    $("#results").append(...fresh.map(card));
    $("#more").hidden = fresh.length < PAGE;
    status.textContent = answer.hits.length ? `The best ${answer.hits.length}, best first` : "Nothing like that here. Try other words.";
    if (location.hash) route(); // the page was opened on a product
  } catch (error) {
    if (search !== asked) return;
    status.className = "status bad";
    status.textContent = `The search does not answer just now (${error.message}). Please try again.`;
  }
}

function put(id) {
  cart.push(id);
  $("#thanks").textContent = "";
  showCart();
}

function showCart() {
  $("#count").textContent = cart.length;
  $("#count").hidden = cart.length === 0;
  $("#items").replaceChildren(...cart.map((id, place) => {
    const item = document.createElement("li"), fields = known.get(id) || {};
    const parts = ["span", "b", "button"].map((name) => document.createElement(name));
    parts[0].textContent = fields.title || id;
    parts[1].textContent = typeof fields.price === "number" ? money.format(fields.price) : "";
    parts[2].textContent = "Remove";
    parts[2].type = "button";
    parts[2].addEventListener("click", () => { cart.splice(place, 1); showCart(); });
    item.append(...parts);
    return item;
  }));
  $("#empty").hidden = cart.length > 0;
  $("#total").hidden = $("#buy").hidden = cart.length === 0;
  $("#total b").textContent = money.format(cart.reduce((sum, id) => sum + ((known.get(id) || {}).price || 0), 0));
}

function buy() {
  headrace.purchase([...new Set(cart)], `order-${Date.now()}`);
  cart.length = 0;
  showCart();
  $("#empty").hidden = true;
  $("#thanks").textContent = "Thank you! It is as good as on its way.";
}

// What the address says is shown: ?q= a search, #product/ID a product of it.
function route() {
  const query = (new URLSearchParams(location.search).get("q") || "").trim();
  const id = location.hash.startsWith("#product/") ? decodeURIComponent(location.hash.slice(9)) : "";
  const fields = known.get(id);
  $("#product").hidden = !fields;
  $("#hero").hidden = Boolean(fields || query);
  $("#found").hidden = Boolean(fields) || !query;
  if (fields) {
    fill($("#product"), id, fields);
    $("#product .text").textContent = fields.description || "";
    $("#main").focus({ preventScroll: true });
    scrollTo(0, 0);
  } else delete $("#product").dataset.headraceProduct;
  document.title = `${(fields && fields.title) || query || "Outdoor goods"}, Northing`;
  $("#q").value = query;
  if (query && query !== search.query) look(query);
}

$("#search").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = $("#q").value.trim();
  if (!query) return;
  search = { query: "", hits: [] }; // asked again, it is another search
  history.pushState(null, "", `?q=${encodeURIComponent(query)}`);
  route();
});
for (const idea of IDEAS) {
  const link = document.createElement("a");
  link.href = `?q=${encodeURIComponent(idea)}`;
  link.textContent = idea;
  $("#ideas").append(link);
}
$("#more").addEventListener("click", () => look(search.query, true));
$("#product .buy").addEventListener("click", () => put($("#product").dataset.headraceProduct));
$("#product .back").addEventListener("click", (event) => { event.preventDefault(); history.back(); });
$("#open-cart").addEventListener("click", () => $("#cart").showModal());
$("#buy").addEventListener("click", buy);
$("#remember").checked = localStorage.getItem("northing.remember") === "yes";
$("#remember").addEventListener("change", ({ target }) => {
  headrace.consent(target.checked ? "full" : "anonymous");
  if (target.checked) localStorage.setItem("northing.remember", "yes");
  else localStorage.removeItem("northing.remember");
});
if ($("#remember").checked) headrace.consent("full");
addEventListener("popstate", route);
showCart();
route();
