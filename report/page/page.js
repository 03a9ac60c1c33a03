/* The page: a benchmark at a time, its table, pictures, texts and settings. */
const MOST_ARMS_AT_FIRST = 12;
const page = { benchmark: 0, group: "accuracy", state: null, fieldState: null, on: new Set(), figures: [] };
const current = () => data.benchmarks[page.benchmark];

function armIndex(one) {
  return Object.fromEntries(one.rows.map((row, index) => [row.arm, index]));
}

function methods(one) {
  return Object.fromEntries(one.settings.arms.map((each) => [each.arm, each.method]));
}

function listOf(id, lines) {
  byId(id).replaceChildren(...lines.map((line) => element("li", {}, line)));
}

function drawShort(one) {
  byId("headline").textContent = one.headline;
  byId("facts").replaceChildren(...one.facts.map(([term, value]) =>
    element("div", {}, element("dt", {}, term), element("dd", {}, value))));
  listOf("cautions", [...one.cautions, ...one.left_out.map((line) => `Not in the table: ${line}.`)]);
  listOf("lines", one.how);
}

/* Rows that the filter and the choice beside it let through. */
function wantedRows(one) {
  const words = byId("filter").value.trim().toLowerCase();
  const method = methods(one);
  const tests = { all: () => true, best: (row) => row.rank === 1, different: (row) => row.p_value !== null && row.p_value < 0.05 };
  const test = tests[byId("which").value];
  return one.rows.filter((row) => `${row.arm} ${method[row.arm]}`.toLowerCase().includes(words) && test(row));
}

function drawTable() {
  const one = current();
  const tags = one.baseline ? { [one.baseline]: "baseline" } : {};
  const columns = [armColumn(armIndex(one), tags), rankColumn(), ...columnGroups(one)[page.group]];
  const rows = wantedRows(one);
  replaceTable(byId("table"), sortableTable("Results by arm", rows, columns, page.state, drawTable));
  const by = columns.find((column) => column.id === page.state.sort);
  const order = by ? `, by ${by.name.replace("\n", " ")}, ${page.state.ascending ? "lowest" : "highest"} first` : "";
  byId("count").textContent = `${rows.length} of ${plural(one.rows.length, "arm")}${order}.`;
}

function drawFields() {
  const one = current();
  const { names, em } = one.fields;
  const rows = one.rows.map((row) => ({ arm: row.arm, values: em[row.arm] }));
  const range = extent(rows, (row) => row.values.flat(), true);
  const columns = names.map((name, place) => ({
    id: `field-${place}`, name: `${name}\nEM %`, value: (row) => row.values[place][0],
    cell: (row) => barCell(row.values[place], 100, 0, range),
  }));
  const made = sortableTable("Exact match by arm and field", rows, [armColumn(armIndex(one)), ...columns], page.fieldState, drawFields);
  replaceTable(byId("fields"), made);
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

/* Arms that are switched on, best first, so that the legend reads as the table. */
function armsOn(one) {
  const index = armIndex(one);
  return byRank(one).filter((arm) => page.on.has(arm)).map((arm) => ({ arm, index: index[arm] }));
}

function byRank(one) {
  const better = (row) => [row.rank, -row[one.metric]];
  return [...one.rows].sort((left, right) => better(left)[0] - better(right)[0] || better(left)[1] - better(right)[1]).map((row) => row.arm);
}

function redrawFigures() {
  const arms = armsOn(current());
  for (const figure of page.figures) figure.redraw(arms);
  for (const button of byId("legend").querySelectorAll("[data-arm]")) button.setAttribute("aria-pressed", String(page.on.has(button.dataset.arm)));
}

function drawLegend(one) {
  const index = armIndex(one);
  const names = byRank(one);
  const buttons = names.map((arm) => {
    const button = element("button", { type: "button", title: arm }, markIcon(index[arm]), element("span", {}, arm));
    button.dataset.arm = arm;
    button.addEventListener("click", () => {
      if (!page.on.delete(arm)) page.on.add(arm);
      redrawFigures();
    });
    return button;
  });
  const all = [["all on", names], ["all off", []]].map(([text, wanted]) => {
    const button = element("button", { type: "button", class: "plain" }, text);
    button.addEventListener("click", () => {
      page.on = new Set(wanted);
      redrawFigures();
    });
    return button;
  });
  byId("legend").replaceChildren(...buttons, ...all);
  page.on = new Set(names.slice(0, MOST_ARMS_AT_FIRST));
  if (one.baseline) page.on.add(one.baseline);
}

function drawFigures(one) {
  page.figures = [distanceFigure(one, "em"), distanceFigure(one, "log_probability"), costFigure(one), curveFigure(one), gainFigure(one)];
  byId("charts").replaceChildren(...page.figures);
  redrawFigures();
}

/* The text viewer is a page of its own: its styles and its address stay apart from this one's. */
function drawViewer(one) {
  const place = byId("viewer");
  if (one.viewer.why) {
    place.replaceChildren(element("p", { class: "note" }, `Not shown: ${one.viewer.why}.`));
    return;
  }
  const text = "The first documents as every arm scores them, and their first copies. Colour is the rank of a token, struck through is what was dropped. Point at a token for its score and probability.";
  const button = element("button", { type: "button" }, "Show the texts");
  button.addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([one.viewer.html], { type: "text/html" }));
    const frame = element("iframe", { src: address, title: "Texts, scores and copies of each arm" });
    button.replaceWith(frame);
  });
  place.replaceChildren(element("p", { class: "note" }, text), button);
}

function settingsText(settings) {
  return Object.entries(settings).map(([name, value]) => `${name.replace("augment.", "")} ${value}`).join(", ");
}

function drawSettings(one) {
  const arms = one.settings.arms.map((each) => [each.arm, each.method, each.meaning, settingsText(each.settings) || "none"]);
  byId("arms").replaceChildren(plainTable("What each arm is", ["arm", "method", "what it does", "settings of its own"], arms, [1, 2, 3]));
  const pairs = (title, values, header) => {
    const entries = Object.entries(values);
    const content = entries.length ? plainTable(title, header, entries, [1]) : element("p", { class: "note" }, "Not recorded with these cells.");
    return [element("h3", {}, title), content];
  };
  byId("shared").replaceChildren(...pairs("Settings that all trained arms share", one.settings.shared, ["setting", "value"]));
  byId("versions").replaceChildren(...pairs("Versions that made the cells", one.versions, ["package", "version"]));
  byId("plan").replaceChildren(data.plan ? later("The plan of the run", () => element("pre", { tabindex: "0" }, data.plan)) : "");
}

function drawBenchmark() {
  const one = current();
  page.state = { sort: one.metric, ascending: false };
  page.fieldState = { sort: null, ascending: false };
  byId("filter").value = "";
  byId("which").value = "all";
  drawShort(one);
  drawTable();
  drawLegend(one);
  drawFigures(one);
  drawFields();
  drawViewer(one);
  drawSettings(one);
}

function readHash() {
  const wanted = Number(new URLSearchParams(location.hash.slice(1)).get("benchmark"));
  page.benchmark = Number.isInteger(wanted) && wanted >= 0 && wanted < data.benchmarks.length ? wanted : 0;
}

function drawChooser() {
  const options = data.benchmarks.map((one, index) => element("option", { value: index }, one.name));
  byId("benchmark").append(...options);
  byId("benchmark").value = String(page.benchmark);
  byId("chooser").hidden = data.benchmarks.length < 2;
  byId("benchmark").addEventListener("change", (event) => {
    page.benchmark = Number(event.target.value);
    history.replaceState(null, "", `#benchmark=${page.benchmark}`);
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
  const { name, metric, baseline, rows } = current();
  download(fileName("json"), "application/json", `${JSON.stringify({ benchmark: name, metric, baseline, rows }, null, 2)}\n`);
});
readHash();
drawGroups();
drawChooser();
drawBenchmark();
document.documentElement.dataset.ready = "yes";
