"use strict";
/* Elements, numbers and marks that the table and the charts share. */
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const NUM_COLORS = 8;
const MINUS = "\u2212";

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

function fixed(value, digits) {
  if (value === null || value === undefined) return "\u2013";
  const text = Math.abs(value).toFixed(digits);
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

/* Shapes tell arms apart if colors repeat or cannot be told apart. */
const SHAPES = [
  (r) => `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`,
  (r) => `M${-r * 0.88} ${-r * 0.88}H${r * 0.88}V${r * 0.88}H${-r * 0.88}Z`,
  (r) => `M0 ${-r * 1.25}L${r * 1.25} 0L0 ${r * 1.25}L${-r * 1.25} 0Z`,
  (r) => `M0 ${-r * 1.15}L${r * 1.15} ${r * 0.9}H${-r * 1.15}Z`,
  (r) => `M0 ${r * 1.15}L${r * 1.15} ${-r * 0.9}H${-r * 1.15}Z`,
  (r) => `M${-r * 1.15} 0L${r * 0.9} ${-r * 1.15}V${r * 1.15}Z`,
  (r) => `M${r * 1.15} 0L${-r * 0.9} ${-r * 1.15}V${r * 1.15}Z`,
];

/* The mark of an arm: 8 colors x 7 shapes, then the same hollow, which makes 112 marks. */
function mark(index, radius = 4.2) {
  const hollow = Math.floor(index / (NUM_COLORS * SHAPES.length)) % 2 ? " hollow" : "";
  const path = SHAPES[index % SHAPES.length](radius);
  return drawn("path", { d: path, class: `mark s${index % NUM_COLORS}${hollow}` });
}

function markIcon(index) {
  const icon = drawn("svg", { width: 13, height: 13, viewBox: "-6.5 -6.5 13 13", "aria-hidden": "true" });
  icon.append(mark(index, 4.4));
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
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
