/* The question browser: every question with the answers of two arms, and on demand those of all. */
const ANSWERS_AT_ONCE = NARROW ? 8 : 15;
const OUTCOMES = {
  all: ["all questions", () => true],
  first: ["first arm right", (a) => a.right],
  firstWrong: ["first arm wrong", (a) => !a.right],
  both: ["both right", (a, b) => a.right && b.right],
  neither: ["both wrong", (a, b) => !a.right && !b.right],
  onlyFirst: ["only the first right", (a, b) => a.right && !b.right],
  onlySecond: ["only the second right", (a, b) => !a.right && b.right],
  other: ["different answers", (a, b) => a.text !== b.text],
};
const browser = { columns: null, shown: ANSWERS_AT_ONCE, choice: {} };

/* The columns of a benchmark's answers, from gzip in base64. */
async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function answerOf(cell, index) {
  if (!cell || cell.texts[index] === null) return null;
  return { text: browser.columns.texts[cell.texts[index]], right: cell.right[index] === 1, nats: cell.nats[index] / 100 };
}

function cellOf(arm) {
  return browser.columns.cells.find((cell) => cell.arm === arm && String(cell.seed) === browser.choice.seed);
}

function answerCell(answer) {
  if (!answer) return element("td", { class: "answer" }, "not asked");
  const sign = element("span", { class: answer.right ? "right" : "wrong", role: "img", "aria-label": answer.right ? "right" : "wrong" }, answer.right ? "\u2713" : "\u2717");
  const nats = element("span", { class: "range", "data-tip": "log-probability of the first gold answer, in nats per token" }, ` ${fixed(answer.nats, 2)}`);
  return element("td", { class: "answer" }, sign, " ", answer.text || "(empty)", nats);
}

/* Positions of the questions that the filters leave. */
function filterQuestions() {
  const { first, second, field, outcome, words } = browser.choice;
  const [left, right] = [cellOf(first), cellOf(second)];
  const test = OUTCOMES[outcome][1];
  const matches = (index) => {
    const [, own, question, gold] = browser.columns.questions[index];
    if (field && own !== field) return false;
    const [a, b] = [answerOf(left, index), answerOf(right, index)];
    if (!a || !b || !test(a, b)) return false;
    return !words || `${question}\n${gold.join("\n")}\n${a.text}\n${b.text}`.toLowerCase().includes(words);
  };
  return browser.columns.questions.map((_, index) => index).filter(matches);
}

/* The answers of every arm to one question, best arm first. */
function allAnswers(index) {
  const box = plainTable("The answers of every arm", ["arm", "answer, nats per token"], []);
  box.querySelector("tbody").append(...listArms(current()).map((arm) =>
    element("tr", {}, element("th", { scope: "row" }, arm), answerCell(answerOf(cellOf(arm), index)))));
  return box;
}

function drawAnswers() {
  const found = filterQuestions();
  const { first, second } = browser.choice;
  const [left, right] = [cellOf(first), cellOf(second)];
  const rows = found.slice(0, browser.shown).map((index) => {
    const [, field, question, gold] = browser.columns.questions[index];
    const about = element("td", { class: "question" }, later(question, () => allAnswers(index)));
    const more = gold.length > 1 ? element("span", { class: "range", "data-tip": gold.join("\n") }, ` or ${gold.length - 1} more`) : "";
    return element("tr", {}, about, element("td", { class: "answer" }, gold[0] ?? "", more), answerCell(answerOf(left, index)),
      answerCell(answerOf(right, index)), element("td", {}, field));
  });
  const why = "No question matches: clear the search, or choose another field or outcome.";
  if (!rows.length) rows.push(element("tr", {}, element("td", { class: "empty", colspan: 5 }, why)));
  const head = ["question", "gold answer", first, second, "field"].map((name) => element("th", { scope: "col", class: "text" }, name));
  const table = element("table", { class: "answers" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  byId("answer-table").replaceChildren(element("div", { class: "box", tabindex: "0", role: "region", "aria-label": "Answers" }, table));
  const rate = (cell) => `${cell.arm} ${found.filter((index) => cell.right[index] === 1).length}`;
  const scores = found.length && left && right ? ` Right among them: ${[...new Set([rate(left), rate(right)])].join(", ")}.` : "";
  byId("answer-count").textContent = `${plural(found.length, "question")} of ${browser.columns.questions.length}.${scores}`;
  const rest = found.length - rows.length;
  byId("answer-more").hidden = rest <= 0;
  byId("answer-more").textContent = `Show ${Math.min(rest, 4 * ANSWERS_AT_ONCE)} more`;
}

function answerSelect(name, label, options) {
  const select = element("select", { "data-choice": name }, ...options.map(([value, text]) => element("option", { value }, text)));
  select.value = browser.choice[name];
  select.addEventListener("change", () => chooseAnswers(name, select.value));
  return element("label", {}, label, " ", select);
}

function chooseAnswers(name, value) {
  browser.choice[name] = value;
  browser.shown = ANSWERS_AT_ONCE;
  drawAnswers();
}

function drawAnswerControls(benchmark) {
  const names = listArms(benchmark);
  const seeds = [...new Set(browser.columns.cells.map((cell) => String(cell.seed)))];
  const fields = [...new Set(browser.columns.questions.map(([, field]) => field))];
  browser.choice = { first: names[0], second: benchmark.baseline && benchmark.baseline !== names[0] ? benchmark.baseline : names[1] ?? names[0], seed: seeds[0], field: "", outcome: "all", words: "" };
  const search = element("input", { type: "search", placeholder: "name, question or answer", "data-choice": "words" });
  search.addEventListener("input", () => chooseAnswers("words", search.value.trim().toLowerCase()));
  const same = (values) => values.map((value) => [value, value]);
  byId("answer-controls").replaceChildren(
    element("label", {}, "Search ", search),
    answerSelect("first", "First arm", same(names)),
    answerSelect("second", "Second arm", same(names)),
    answerSelect("outcome", "Show", Object.entries(OUTCOMES).map(([name, [text]]) => [name, text])),
    answerSelect("field", "Field", [["", "all fields"], ...same(fields)]),
    ...(seeds.length > 1 ? [answerSelect("seed", "Seed", same(seeds))] : []),
  );
}

async function loadAnswers(benchmark) {
  const { packed, shown, total, answers } = benchmark.answers;
  const columns = await unpack(packed);
  if (benchmark !== current()) return; // another benchmark was chosen meanwhile
  browser.columns = columns;
  browser.shown = ANSWERS_AT_ONCE;
  const sample = shown < total ? ` A random sample of ${shown.toLocaleString("en")} of ${total.toLocaleString("en")} questions, which keeps this page small; the files of the cells hold all.` : "";
  byId("answers-note").textContent = `${plural(shown, "question")} with ${answers.toLocaleString("en")} answers.${sample} Open a question for the answers of every arm; numbers are the log-probability of the gold answer, in nats per token.`;
  drawAnswerControls(benchmark);
  drawAnswers();
  document.documentElement.dataset.answers = benchmark.name;
}

byId("answer-more").addEventListener("click", () => {
  browser.shown += 4 * ANSWERS_AT_ONCE;
  drawAnswers();
});
