/* The page: one benchmark at a time, with its table, figures, texts and settings. */
const MOST_ARMS_AT_FIRST = 12;
const page = { index: 0, group: "accuracy", state: null, fieldState: null, on: new Set(), figures: [] };
const current = () => data.benchmarks[page.index];

function methods(benchmark) {
  return Object.fromEntries(benchmark.settings.arms.map((arm) => [arm.arm, arm.method]));
}

function fillList(id, lines) {
  byId(id).replaceChildren(...lines.map((line) => element("li", {}, line)));
}

function drawShort(benchmark) {
  byId("headline").textContent = benchmark.headline;
  byId("permalink").href = `#${benchmark.anchor}`;
  byId("warning").hidden = !benchmark.warning;
  byId("warning").textContent = benchmark.warning;
  byId("facts").replaceChildren(...benchmark.facts.map(([term, value]) =>
    element("div", {}, element("dt", {}, term), element("dd", {}, linked(value, benchmark.links[term])))));
  fillList("cautions", [...benchmark.cautions, ...benchmark.left_out.map((line) => `Not in the table: ${line}.`)]);
  fillList("lines", benchmark.how);
}

/* Rows that match the filter and the choice beside it. */
function filterRows(benchmark) {
  const words = byId("filter").value.trim().toLowerCase();
  const method = methods(benchmark);
  const tests = { all: () => true, best: (row) => row.rank === 1, different: (row) => row.p_value !== null && row.p_value < 0.05 };
  const test = tests[byId("which").value];
  return benchmark.rows.filter((row) => `${row.arm} ${method[row.arm]}`.toLowerCase().includes(words) && test(row));
}

/* Why no arm passes the filter and the choice beside it. */
function explainNoRows(benchmark) {
  if (byId("which").value === "best" && benchmark.rows[0].rank === null) return "With one seed per arm there are no ranks: show all arms.";
  if (byId("which").value === "different" && !benchmark.baseline) return "There is no baseline (random or plain), so no differences are tested: show all arms.";
  return byId("filter").value ? `No arm or method contains \u201c${byId("filter").value}\u201d here: clear the filter.` : "No arm differs significantly from the baseline: show all arms.";
}

function drawTable() {
  const benchmark = current();
  const tags = benchmark.baseline ? { [benchmark.baseline]: "baseline" } : {};
  const columns = [armColumn(benchmark, tags), ...rankColumns(benchmark), ...columnGroups(benchmark)[page.group]];
  const rows = filterRows(benchmark);
  replaceTable(byId("table"), sortableTable("Results by arm", rows, columns, page.state, drawTable, explainNoRows(benchmark)));
  const by = columns.find((column) => column.id === page.state.sort);
  const order = by ? `, sorted by ${by.name.replace("\n", " ")}, ${by.id === "arm" ? (page.state.ascending ? "A to Z" : "Z to A") : `${page.state.ascending ? "lowest" : "highest"} first`}` : "";
  byId("shared-ranks").hidden = benchmark.rows[0].rank === null;
  byId("count").textContent = `${rows.length} of ${plural(benchmark.rows.length, "arm")}${order}.`;
}

function drawFields() {
  const benchmark = current();
  const { names, em } = benchmark.fields;
  const rows = listArms(benchmark).map((arm) => ({ arm, values: em[arm] }));
  const range = extent(rows, (row) => row.values.flat(), true);
  const columns = names.map((name, position) => ({
    id: `field-${position}`, name: `${name}\nEM %`, value: (row) => row.values[position][0],
    cell: (row) => barCell(row.values[position], 100, 0, range),
  }));
  const table = sortableTable("Exact match by arm and field", rows, [armColumn(benchmark), ...columns], page.fieldState, drawFields);
  replaceTable(byId("fields"), table);
}

function drawGroups() {
  const buttons = Object.keys({ accuracy: 0, costs: 0, all: 0 }).map((group) => {
    const button = element("button", { type: "button", "aria-pressed": String(group === page.group) }, group);
    button.addEventListener("click", () => {
      page.group = group;
      for (const other of byId("groups").querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
      drawTable();
    });
    return button;
  });
  byId("groups").append(...buttons);
}

/* Arms that are switched on, best first as in the table. */
function armsOn(benchmark) {
  return listArms(benchmark).filter((arm) => page.on.has(arm)).map((arm) => ({ arm, look: benchmark.marks[arm] }));
}

function listArms({ rows }) {
  return rows.map((row) => row.arm);
}

function redrawFigures() {
  const arms = armsOn(current());
  for (const figure of page.figures) figure.redraw(arms);
  for (const button of byId("legend").querySelectorAll("[data-arm]")) button.setAttribute("aria-pressed", String(page.on.has(button.dataset.arm)));
}

function drawLegend(benchmark) {
  const names = listArms(benchmark);
  const buttons = names.map((arm) => {
    const button = element("button", { type: "button", "data-tip": `${arm}: switch on or off` }, markIcon(benchmark.marks[arm]), element("span", {}, arm));
    button.dataset.arm = arm;
    button.addEventListener("click", () => {
      if (!page.on.delete(arm)) page.on.add(arm);
      redrawFigures();
    });
    return button;
  });
  const switches = [["all on", names], ["all off", []]].map(([text, arms]) => {
    const button = element("button", { type: "button", class: "plain" }, text);
    button.addEventListener("click", () => {
      page.on = new Set(arms);
      redrawFigures();
    });
    return button;
  });
  byId("legend").replaceChildren(...buttons, ...switches);
  page.on = new Set(names.slice(0, MOST_ARMS_AT_FIRST));
  if (benchmark.baseline) page.on.add(benchmark.baseline);
}

function drawFigures(benchmark) {
  page.figures = [...distanceFigures(benchmark), costFigure(benchmark), curveFigure(benchmark), gainFigure(benchmark)];
  byId("charts").replaceChildren(...page.figures);
  redrawFigures();
}

/* The text viewer is a separate page, so that its styles and its address stay apart from this page's. */
function drawViewer(benchmark) {
  const parent = byId("viewer");
  if (benchmark.viewer.why) {
    parent.replaceChildren(element("p", { class: "note" }, `Not shown: ${benchmark.viewer.why}.`));
    return;
  }
  const text = `The first documents with the scores of every arm${benchmark.viewer.run ? ` of ${benchmark.viewer.run}` : ""}, and their first copies. Colors show the ranks of tokens; dropped tokens are struck through. Point at or tap a token to see its score and its drop probability.`;
  const button = element("button", { type: "button" }, "Show the texts");
  button.addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([benchmark.viewer.html], { type: "text/html" }));
    const frame = element("iframe", { src: address, title: "Texts, scores and copies of each arm" });
    button.replaceWith(frame);
  });
  parent.replaceChildren(element("p", { class: "note" }, text), button);
}

function settingsText(settings) {
  return Object.entries(settings).map(([name, value]) => `${name.replace("augment.", "")} ${value}`).join(", ");
}

function drawSettings(benchmark) {
  const arms = benchmark.settings.arms.map((arm) => [linked(arm.arm, benchmark.arm_links[arm.arm]), arm.method, arm.meaning, settingsText(arm.settings) || "none"]);
  byId("arms").replaceChildren(plainTable("What each arm is", ["arm", "method", "what it does", "its own settings"], arms, [1, 2, 3]));
  const pairs = (title, values, header) => {
    const entries = Object.entries(values);
    const content = entries.length ? plainTable(title, header, entries, [1]) : element("p", { class: "note" }, "Not recorded with these cells.");
    return [element("h3", {}, title), content];
  };
  byId("shared").replaceChildren(...pairs("Settings that all trained arms share", benchmark.settings.shared, ["setting", "value"]));
  byId("versions").replaceChildren(...pairs("Package versions that made the cells", benchmark.versions, ["package", "version"]));
  byId("plan").replaceChildren(data.plan ? later("The plan of the run", () => element("pre", { tabindex: "0" }, data.plan)) : "");
}

function drawEntries(benchmark) {
  if (!data.board) return;
  fillList("steps", data.board.steps);
  const rows = benchmark.entries.map((entry) => [linked(entry.arm, benchmark.arm_links[entry.arm]), String(entry.seed), entry.by, entry.day, entry.verified, entry.cell]);
  const table = () => plainTable("Entries", ["arm", "seed", "submitted by", "on", "verified", "entry"], rows, [2]);
  byId("entry-table").replaceChildren(later(`All ${rows.length} entries`, table));
}

function drawBenchmark() {
  const benchmark = current();
  const isRanked = benchmark.rows[0].rank !== null;
  page.state = { sort: isRanked ? "rank" : benchmark.metric, ascending: isRanked };
  page.fieldState = { sort: null, ascending: false };
  byId("filter").value = "";
  byId("which").value = "all";
  drawShort(benchmark);
  drawTable();
  drawLegend(benchmark);
  drawFigures(benchmark);
  drawFields();
  drawViewer(benchmark);
  drawSettings(benchmark);
  drawEntries(benchmark);
  loadAnswers(benchmark);
}

/* Every benchmark has an anchor, made of its name; those of sections leave the benchmark as it is. */
function findBenchmark() {
  return data.benchmarks.findIndex((benchmark) => benchmark.anchor === decodeURIComponent(location.hash.slice(1)));
}

function readHash() {
  const index = findBenchmark();
  if (index < 0 || index === page.index) return;
  page.index = index;
  byId("benchmark").value = String(index);
  drawBenchmark();
}

function drawContents() {
  const links = [...document.querySelectorAll("main h2")].map((heading) => element("li", {}, element("a", { href: `#${heading.id}` }, heading.textContent)));
  byId("contents").replaceChildren(...links);
}

function drawChooser() {
  const options = data.benchmarks.map((benchmark, index) => element("option", { value: index }, benchmark.name));
  byId("benchmark").append(...options);
  byId("benchmark").value = String(page.index);
  byId("chooser").hidden = data.benchmarks.length < 2;
  byId("benchmark").addEventListener("change", (event) => {
    page.index = Number(event.target.value);
    history.replaceState(null, "", `#${current().anchor}`);
    drawBenchmark();
  });
  if (!data.not_shown.length) return;
  const lines = data.not_shown.map((line) => element("li", {}, line));
  byId("not-shown").append(element("p", {}, "Benchmarks that cannot be shown:"), element("ul", {}, ...lines));
}

function fileName(ending) {
  return `${current().name.replace(/[^\p{L}\p{N}.-]+/gu, "-")}.${ending}`;
}

byId("filter").addEventListener("input", drawTable);
byId("which").addEventListener("change", drawTable);
byId("csv").addEventListener("click", () => download(fileName("csv"), "text/csv", asCsv(current().rows)));
byId("json").addEventListener("click", () => {
  const { name, metric, baseline } = current();
  const rows = current().rows;
  download(fileName("json"), "application/json", `${JSON.stringify({ benchmark: name, metric, baseline, rows }, null, 2)}\n`);
});
page.index = Math.max(0, findBenchmark());
window.addEventListener("hashchange", readHash);
drawContents();
drawGroups();
drawChooser();
drawBenchmark();
document.documentElement.dataset.ready = "yes";
