"use strict";
/* Elements, numbers and marks that the table and the charts share. */
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const MINUS = "\u2212";
const NARROW = matchMedia("(max-width: 40rem)").matches;

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function drawn(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/* Exact halves are rounded to the even neighbor, as everywhere else in elusive; toFixed rounds them up. */
function fixed(value, digits) {
  if (value === null || value === undefined) return "\u2013";
  const size = Math.abs(value);
  const up = size.toFixed(digits);
  const isHalf = /^50*$/.test(size.toFixed(digits + 40).slice(-40));
  const text = isHalf && Number(up.at(-1)) % 2 ? (Number(up) - 10 ** -digits).toFixed(digits) : up;
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/* Fewer decimals for larger numbers. */
function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return fixed(value, size < 1 ? 2 : size < 10 ? 1 : 0);
}

function interval([mean, low, high], scale, digits) {
  if (low === null) return `${fixed(scale * mean, digits)} [no interval]`;
  return `${fixed(scale * mean, digits)} [${fixed(scale * low, digits)}, ${fixed(scale * high, digits)}]`;
}

/* Three decimals, but never 0. */
function pValue(value) {
  return value < 0.001 ? "<0.001" : value.toFixed(3);
}

function polygon(points) {
  return `M${points.map((point) => point.map((value) => value.toFixed(2)).join(" ")).join("L")}Z`;
}

/* The corners of a plus, turned by an angle, and of a star. */
function plus(r, angle) {
  const w = 0.38 * r;
  const corners = [[-w, -r], [w, -r], [w, -w], [r, -w], [r, w], [w, w], [w, r], [-w, r], [-w, w], [-r, w], [-r, -w], [-w, -w]];
  return polygon(corners.map(([x, y]) => [x * Math.cos(angle) - y * Math.sin(angle), x * Math.sin(angle) + y * Math.cos(angle)]));
}

function star(r) {
  return polygon([...Array(10).keys()].map((index) => [index % 2 ? 0.5 * r : 1.3 * r, (index * Math.PI) / 5]).map(([size, angle]) => [size * Math.sin(angle), -size * Math.cos(angle)]));
}

/* Outlines of SHAPES in evaluate/figures/arm_marks.py, in the same order. */
const SHAPES = [
  (r) => `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`,
  (r) => `M${-r * 0.88} ${-r * 0.88}H${r * 0.88}V${r * 0.88}H${-r * 0.88}Z`,
  (r) => `M0 ${-r * 1.25}L${r * 1.25} 0L0 ${r * 1.25}L${-r * 1.25} 0Z`,
  (r) => `M0 ${-r * 1.15}L${r * 1.15} ${r * 0.9}H${-r * 1.15}Z`,
  (r) => `M0 ${r * 1.15}L${r * 1.15} ${-r * 0.9}H${-r * 1.15}Z`,
  (r) => `M${-r * 1.15} 0L${r * 0.9} ${-r * 1.15}V${r * 1.15}Z`,
  (r) => `M${r * 1.15} 0L${-r * 0.9} ${-r * 1.15}V${r * 1.15}Z`,
  (r) => plus(1.15 * r, 0),
  (r) => plus(1.25 * r, Math.PI / 4),
  star,
];

/* The mark of an arm, which is {family, shape, hollow}. */
function mark([family, shape, hollow], radius = 4.2) {
  return drawn("path", { d: SHAPES[shape](radius), class: `mark f-${family}${hollow ? " hollow" : ""}` });
}

function markIcon(look) {
  const icon = drawn("svg", { width: 13, height: 13, viewBox: "-6.5 -6.5 13 13", "aria-hidden": "true" });
  icon.append(mark(look, 4.4));
  return icon;
}

/* Round values that divide a range into about `count` parts, with their labels. */
function ticks(low, high, count = 5) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const values = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) {
    values.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  }
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0)));
  return values.map((value) => [value, fixed(value, digits)]);
}

function download(name, kind, text) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: kind })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/* A plain table in a box that scrolls by itself; the first cell of each row is its header. */
function plainTable(label, header, rows, textColumns = []) {
  const head = element("tr", {}, ...header.map((name, column) =>
    element("th", textColumns.includes(column) ? { scope: "col", class: "text" } : { scope: "col" }, name)));
  const body = rows.map((row) => element("tr", {}, ...row.map((cell, column) => {
    if (!column) return element("th", { scope: "row" }, cell);
    return element("td", textColumns.includes(column) ? { class: "wrap" } : {}, cell);
  })));
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { class: "box", tabindex: "0", role: "region", "aria-label": label }, table);
}

/* Details whose content is made when they are first opened. */
function later(summary, make) {
  const details = element("details", {}, element("summary", {}, summary));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(make());
  });
  return details;
}

/* A link where there is an address, else the text alone. */
function linked(text, address) {
  return address ? element("a", { href: address, rel: "noopener" }, text) : text;
}

const tip = byId("tip");
function showTip(text, event) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 8);
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, event.clientY - height - 14)}px`;
}
document.addEventListener("pointerover", (event) => {
  const target = event.target.closest?.("[data-tip]");
  if (target) showTip(target.dataset.tip, event);
  else tip.hidden = true;
});
document.addEventListener("focusin", (event) => {
  const target = event.target.closest?.("[data-tip]");
  if (target && target.matches(":focus-visible")) showTip(target.dataset.tip, tipPlace(target));
});
document.addEventListener("focusout", () => { tip.hidden = true; });
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

function tipPlace(target) {
  const { left, top } = target.getBoundingClientRect();
  return { clientX: left, clientY: top };
}

/* The colors of the page: those of the system, or light or dark as the reader chose. */
const THEMES = ["system", "light", "dark"];
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Colors: ${theme}`;
  try {
    localStorage.setItem("elusive-theme", theme);
  } catch {
    // A page in a sandbox has no storage; the choice then lasts until the page is closed.
  }
}
function readTheme() {
  try {
    return localStorage.getItem("elusive-theme");
  } catch {
    return null;
  }
}
setTheme(THEMES.includes(readTheme()) ? readTheme() : "system");
byId("theme").addEventListener("click", () => {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
});
