/* Sortable tables: a column is {id, name, value, cell, ascending}. */
const BAR = NARROW ? 46 : 76;

/* A mean and its interval, as a small bar on the column's own scale and as numbers. */
function barCell(values, scale, digits, [low, high]) {
  const toX = (value) => 3 + (BAR - 6) * (value - low) / (high - low || 1);
  const cell = element("td");
  if (values[0] === null || values[0] === undefined) return cell;
  const icon = drawn("svg", { width: BAR, height: 12, viewBox: `0 0 ${BAR} 12`, "aria-hidden": "true" });
  icon.append(drawn("line", { class: "bar-track", x1: 3, x2: BAR - 3, y1: 6, y2: 6 }));
  if (low < 0 && high > 0) icon.append(drawn("line", { class: "zero", x1: toX(0), x2: toX(0), y1: 0, y2: 12 }));
  if (values[1] !== null) icon.append(drawn("line", { class: "bar-range", x1: toX(values[1]), x2: toX(values[2]), y1: 6, y2: 6 }));
  icon.append(drawn("circle", { class: "bar-mean", cx: toX(values[0]), cy: 6, r: 3 }));
  const [mean, ...range] = interval(values, scale, digits).split(" ");
  const numbers = element("span", {}, element("b", {}, mean), " ", element("span", { class: "range" }, range.join(" ")));
  // All bars of a column begin at its left edge, so their positions can be compared.
  cell.append(element("div", { class: "bar", "data-tip": `mean ${mean}\n95% interval ${range.join(" ")}` }, icon, numbers));
  return cell;
}

function extent(rows, get, withZero) {
  const all = rows.flatMap(get).filter((value) => value !== null && value !== undefined);
  if (withZero) all.push(0);
  return all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
}

function estimate(row, name) {
  return [row[name], row[`${name}_low`], row[`${name}_high`]];
}

function barColumn(rows, id, name, get, scale, digits, withZero = true) {
  const range = extent(rows, get, withZero);
  return { id, name, value: (row) => get(row)[0], cell: (row) => barCell(get(row), scale, digits, range) };
}

function numberColumn(id, name, value, digits, ascending = false) {
  const cell = (row) => element("td", {}, value(row) === null || value(row) === undefined ? "" : digits === null ? short(value(row)) : fixed(value(row), digits));
  return { id, name, value, cell, ascending };
}

function textColumn(id, name, value) {
  return { id, name, value, cell: (row) => element("td", {}, value(row)), ascending: true };
}

function percent(value) {
  return value === null || value === undefined ? null : 100 * value;
}

/* The arm's name; the first column, wide enough for the longest name on two lines. */
function armColumn(benchmark, tags = {}) {
  const longest = Math.max(...benchmark.rows.map((row) => row.arm.length));
  document.documentElement.style.setProperty("--longest-arm", longest);
  const meanings = Object.fromEntries(benchmark.settings.arms.map((arm) => [arm.arm, arm.meaning]));
  const cell = (row) => {
    const header = element("th", { scope: "row", class: "arm", "data-arm": row.arm, "data-tip": `${row.arm}: ${meanings[row.arm].replaceAll("`", "")}` },
      markIcon(benchmark.marks[row.arm]), row.arm);
    if (tags[row.arm]) header.append(element("span", { class: "tag" }, tags[row.arm]));
    if (row.chosen?.includes("on TEST")) header.append(element("span", { class: "tag" }, "chosen on test"));
    return header;
  };
  return { id: "arm", name: "arm", value: (row) => row.arm, cell, ascending: true };
}

function pColumn() {
  const cell = (row) => row.p_value === null
    ? element("td")
    : element("td", row.p_value < 0.05 ? { class: "significant" } : {}, pValue(row.p_value));
  return { id: "p", name: "p\n(Holm)", value: (row) => row.p_value, cell, ascending: true };
}

/* Columns of the main table by group. */
function columnGroups(benchmark) {
  const { rows, metric, baseline } = benchmark;
  const [scale, digits] = metric === "log_probability" ? [1, 2] : [100, 0];
  const units = { em: "EM points", f1: "F1 points", log_probability: "nats", forced_choice: "points" };
  const accuracy = [
    barColumn(rows, "em", "EM\n%", (row) => estimate(row, "em"), 100, 0),
    barColumn(rows, "f1", "F1\n%", (row) => estimate(row, "f1"), 100, 0),
  ];
  const nats = barColumn(rows, "log_probability", "gold log-prob.\nnats per token", (row) => estimate(row, "log_probability"), 1, 2, false);
  const choice = barColumn(rows, "forced_choice", "forced choice\n%", (row) => estimate(row, "forced_choice"), 100, 0);
  const hasChoice = rows.some((row) => row.forced_choice !== null); // entries of earlier versions have none
  const [shown, other] = hasChoice && metric !== "log_probability" ? [choice, nats] : [nats, choice];
  accuracy.push(shown);
  if (baseline) {
    accuracy.push(barColumn(rows, "difference", `vs ${baseline}\n${units[metric]}`, (row) => estimate(row, "difference"), scale, digits));
    accuracy.push(pColumn());
  }
  if (rows.some((row) => row.known_em !== null)) accuracy.push(numberColumn("known", "known\nEM %", (row) => percent(row.known_em), 0));
  const submitted = benchmark.submitted ? [textColumn("submitted", "submitted by", (row) => benchmark.submitted[row.arm])] : [];
  const design = [
    ...submitted,
    numberColumn("drop", "dropped\n%", (row) => percent(row.drop_rate), 0),
    numberColumn("exposures", "exposures", (row) => row.exposures, 0),
    numberColumn("seeds", "seeds", (row) => row.seeds, 0),
  ];
  if (rows.some((row) => row.verified)) design.push(textColumn("verified", "verified\ncells", (row) => row.verified));
  const forgetting = [
    numberColumn("perplexity", "known\nperplexity", (row) => row.known_perplexity, 2, true),
  ];
  const costs = ["scoring", "dropping", "training", "answering"].map((stage) =>
    numberColumn(stage, `${stage}\nseconds`, (row) => row[`${stage}_seconds`], null, true));
  const memory = (row) => Math.max(...["scoring", "dropping", "training", "answering"].map((stage) => row[`${stage}_peak_mib`])) / 1024;
  costs.push(numberColumn("memory", "peak\nGiB", memory, 2, true));
  costs.push(numberColumn("speed", "EM points\nper minute", (row) => (row.training_seconds ? row.points_per_minute : null), 1));
  return {
    accuracy: [...accuracy, ...design],
    costs: [accuracy[0], ...forgetting, ...costs],
    all: [...accuracy, ...(hasChoice ? [other] : []), ...design, ...forgetting, ...costs],
  };
}

/* The column of ranks; none with one seed, where no arm has a rank. */
function rankColumns(benchmark) {
  if (benchmark.rows[0].rank === null) return []; // the caution about seeds says why
  const cell = (row) => element("td", {}, String(row.rank));
  return [{ id: "rank", name: "rank", value: (row) => row.rank, cell, ascending: true }];
}

/* Rows sorted by a column; those without a value come last. */
function sorted(rows, column, ascending) {
  const known = (value) => value !== null && value !== undefined;
  return [...rows].sort((left, right) => {
    const [a, b] = [column.value(left), column.value(right)];
    if (!known(a) || !known(b)) return known(b) - known(a);
    const order = typeof a === "string" ? a.localeCompare(b) : a - b;
    return ascending ? order : -order;
  });
}

/* A table in a box, with the reason in place of its rows if it has none; the buttons in its header change state, which is {sort, ascending}. */
function sortableTable(label, rows, columns, state, redraw, whyEmpty = "") {
  const head = columns.map((column) => {
    const button = element("button", { type: "button" }, column.name);
    button.dataset.column = column.id;
    button.addEventListener("click", () => {
      state.ascending = state.sort === column.id ? !state.ascending : Boolean(column.ascending);
      state.sort = column.id;
      redraw();
    });
    const th = element("th", { scope: "col" }, button);
    if (state.sort === column.id) th.setAttribute("aria-sort", state.ascending ? "ascending" : "descending");
    return th;
  });
  const by = columns.find((column) => column.id === state.sort);
  const body = (by ? sorted(rows, by, state.ascending) : rows).map((row) =>
    element("tr", row.rank === 1 ? { class: "first" } : {}, ...columns.map((column) => column.cell(row))));
  if (!body.length) body.push(element("tr", {}, element("td", { class: "empty", colspan: columns.length }, whyEmpty)));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element("div", { class: "box", tabindex: "0", role: "region", "aria-label": label }, table);
}

/* Replace a table; the pressed button keeps the focus, and the box its scroll position. */
function replaceTable(parent, box) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.column : null;
  const left = parent.firstElementChild?.scrollLeft ?? 0;
  parent.replaceChildren(box);
  box.scrollLeft = left;
  if (focused) [...box.querySelectorAll("button")].find((button) => button.dataset.column === focused)?.focus();
}

/* Rows as comma-separated values; what a spreadsheet could take for a formula is marked as text. */
function asCsv(rows) {
  const names = Object.keys(rows[0]);
  const quoted = (value) => {
    const text = value === null ? "" : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(quoted).join(",")).join("\n") + "\n";
}
