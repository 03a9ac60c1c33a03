/* Charts as SVG. Series are {look, points: [{x, y, low, high, tip}]}; the look is that of mark(). */
const WIDE = NARROW ? 370 : 560; // so that letters keep their size
const HIGH = 320;
const EDGE = { right: 12, top: 10, bottom: 46 };
const DIGIT = 6.6; // width of a digit of the axes

/* A function from data to coordinates of the drawing. */
function scaleOf(low, high, first, last) {
  return (value) => first + (last - first) * (value - low) / (high - low || 1);
}

/* The range of values, a little wider; with fromZero it includes 0. */
function rangeOf(values, fromZero) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (fromZero && low >= 0) low = 0;
  if (fromZero && high <= 0) high = 0;
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  return [fromZero && low === 0 ? 0 : low - room, fromZero && high === 0 ? 0 : high + room];
}

/* An empty chart with axes, and its scales. */
function axes(label, xs, ys, options) {
  const svg = drawn("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": label });
  const heights = ticks(...ys);
  // The name of the axis stands left of its longest number.
  const left = 32 + DIGIT * Math.max(...heights.map(([, text]) => text.length));
  const x = scaleOf(...xs, left, WIDE - EDGE.right);
  const y = scaleOf(...ys, HIGH - EDGE.bottom, EDGE.top);
  for (const [value, text] of heights) {
    const kind = value === 0 && ys[0] < 0 ? "zero" : "grid";
    svg.append(drawn("line", { class: kind, x1: left, x2: WIDE - EDGE.right, y1: y(value), y2: y(value) }));
    svg.append(drawn("text", { class: "axis", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, text));
  }
  const marks = options.bins ? options.bins.map((text, index) => [index, text]) : ticks(...xs, WIDE / 90);
  for (const [value, text] of marks) {
    svg.append(drawn("text", { class: "axis", x: x(value), y: HIGH - EDGE.bottom + 17, "text-anchor": "middle" }, text));
  }
  const middle = (EDGE.top + HIGH - EDGE.bottom) / 2;
  svg.append(drawn("text", { class: "axis-name", x: (left + WIDE - EDGE.right) / 2, y: HIGH - 8, "text-anchor": "middle" }, options.x));
  svg.append(drawn("text", { class: "axis-name", transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle" }, options.y));
  return { svg, x, y };
}

/* A point with its whisker, and a larger invisible area to point at. */
function drawPoint(group, point, look, x, y, shift) {
  const left = x(point.x) + shift;
  if (point.low !== null && point.low !== undefined) {
    group.append(drawn("line", { class: `whisker f-${look[0]}`, x1: left, x2: left, y1: y(point.low), y2: y(point.high) }));
  }
  const shape = mark(look);
  shape.setAttribute("transform", `translate(${left} ${y(point.y)})`);
  const hit = drawn("circle", { class: "hit", cx: left, cy: y(point.y), r: 10, "data-tip": point.tip });
  group.append(shape, hit);
}

/* The points of every arm, joined by lines if options.lines is set. */
function drawChart(label, series, options) {
  const points = series.flatMap((line) => line.points);
  const ends = points.flatMap((point) => [point.y, point.low, point.high]).filter((value) => value !== null && value !== undefined);
  const xs = options.bins ? [-0.5, options.bins.length - 0.5] : rangeOf(points.map((point) => point.x), options.xFromZero);
  const { svg, x, y } = axes(label, xs, rangeOf(ends, options.fromZero), options);
  series.forEach((line, number) => {
    const group = drawn("g", {});
    const step = options.bins ? 0.6 * (x(1) - x(0)) : 0;
    const shift = step * (number / Math.max(series.length - 1, 1) - 0.5);
    if (options.lines) {
      const path = line.points.map((point, position) => `${position ? "L" : "M"}${(x(point.x) + shift).toFixed(1)} ${y(point.y).toFixed(1)}`).join("");
      group.append(drawn("path", { class: `curve f-${line.look[0]}`, d: path }));
    }
    const last = line.points.length - 1;
    const isMarked = (position) => position === last || position % Math.ceil(line.points.length / 8) === number % 3;
    const marked = options.sparse ? line.points.filter((_, position) => isMarked(position)) : line.points;
    for (const point of marked) drawPoint(group, point, line.look, x, y, shift);
    svg.append(group);
  });
  return svg;
}

/* A figure: title, chart of the arms that are switched on, note, and its numbers as a table. */
function figureOf(title, makeChart, note, table) {
  const figure = element("figure", {}, element("figcaption", {}, title));
  const box = element("div");
  figure.append(box);
  if (note) figure.append(element("p", { class: "note" }, note));
  if (table) figure.append(later("The numbers as a table", table));
  figure.redraw = (arms) => {
    const chart = makeChart(arms);
    box.replaceChildren(chart ?? element("p", { class: "note" }, "None of the arms in this figure is switched on."));
  };
  return figure;
}

function missingFigure(title, why) {
  const figure = element("figure", {}, element("figcaption", {}, title), element("p", { class: "note" }, `Not shown: ${why}.`));
  figure.redraw = () => {};
  return figure;
}

const METRIC_AXES = {
  em: { name: "exact match", unit: "%", gain: "EM points", scale: 100, digits: 0 },
  log_probability: { name: "gold log-probability", unit: "nats per token", gain: "nats per token", scale: 1, digits: 2 },
  forced_choice: { name: "forced choice", unit: "%", gain: "points", scale: 100, digits: 0 },
};

/* A figure for each of the two metrics that the data have. */
function distanceFigures(benchmark) {
  if (benchmark.distance.why) return [missingFigure("Accuracy by distance", benchmark.distance.why)];
  return Object.keys(benchmark.distance.scores).map((metric) => distanceFigure(benchmark.distance, metric));
}

function distanceFigure(distance, metric) {
  const { name, unit, scale, digits } = METRIC_AXES[metric];
  const title = `${name[0].toUpperCase()}${name.slice(1)} by distance`;
  const fieldOf = (bin) => (distance.fields[bin].includes(",") ? "" : ` (${distance.fields[bin]})`);
  const make = (arms) => {
    const series = arms.map(({ arm, look }) => ({ look, points: distance.scores[metric][arm].map((values, bin) => ({
      x: bin, y: scale * values[0], low: values[1] === null ? null : scale * values[1], high: scale * values[2],
      tip: `${arm}\n${distance.bins[bin]} words${fieldOf(bin)}\n${name} ${interval(values, scale, digits)} ${unit}`,
    })) }));
    const options = { bins: distance.bins, x: "words from the name to the value", y: `${name}, ${unit}`, fromZero: metric === "em", lines: true };
    return series.length ? drawChart(title, series, options) : null;
  };
  const note = `Distance: words between a value and the nearest mention of the name before it. Whiskers: 95% intervals; points without are of one person or article.${distance.confounded ? ` No two fields have a distance in common. Words: ${distance.bins.map((words, bin) => `${words} ${distance.fields[bin]}`).join("; ")}.` : ""}`;
  const table = () => plainTable(title, ["arm", ...distance.bins.map((words, bin) => `${words} words${fieldOf(bin)}`)],
    Object.entries(distance.scores[metric]).map(([arm, bins]) => [arm, ...bins.map((values) => interval(values, scale, digits))]));
  return figureOf(title, make, note, table);
}

function curveFigure(benchmark) {
  const title = "Learning curves";
  if (benchmark.curves.why) return missingFigure(title, benchmark.curves.why);
  const make = (arms) => {
    const series = arms.filter(({ arm }) => benchmark.curves.loss[arm]).map(({ arm, look }) => ({ look, points: benchmark.curves.loss[arm].map(([x, y]) => (
      { x, y, tip: `${arm}\nstep ${x}\nloss ${fixed(y, 2)} nats` })) }));
    return series.length ? drawChart(title, series, { x: "optimizer step", y: "training loss, nats per token", lines: true, sparse: true, xFromZero: true, fromZero: true }) : null;
  };
  const table = () => plainTable(title, ["arm", "steps", "first loss", "last loss"], Object.entries(benchmark.curves.loss).map(([arm, points]) => {
    const [first, last] = [points[0], points.at(-1)];
    return [arm, String(last[0]), fixed(first[1], 2), fixed(last[1], 2)];
  }));
  const note = "Mean over seeds, on each arm's own training text. Arms read different texts, so a lower loss does not mean a better arm.";
  return figureOf(title, make, note, table);
}

function costFigure(benchmark) {
  const title = "Accuracy against cost";
  const seconds = (row) => row.scoring_seconds + row.dropping_seconds + row.training_seconds;
  const rows = Object.fromEntries(benchmark.rows.map((row) => [row.arm, row]));
  const make = (arms) => {
    const series = arms.map(({ arm, look }) => ({ look, points: [{
      x: seconds(rows[arm]), y: 100 * rows[arm].em, low: rows[arm].em_low === null ? null : 100 * rows[arm].em_low, high: 100 * rows[arm].em_high,
      tip: `${arm}\n${short(seconds(rows[arm]))} s of scoring, dropping and training\nEM ${interval(estimate(rows[arm], "em"), 100, 0)} %`,
    }] }));
    return series.length ? drawChart(title, series, { x: "scoring, dropping and training, seconds per cell", y: "exact match, %", fromZero: true, xFromZero: true }) : null;
  };
  const table = () => plainTable(title, ["arm", "seconds", "EM %"], benchmark.rows.map((row) => [row.arm, short(seconds(row)), interval(estimate(row, "em"), 100, 0)]));
  return figureOf(title, make, "Up and to the left is better. Whiskers: 95% intervals.", table);
}

function gainFigure(benchmark) {
  const title = "Clue recall against gain";
  if (benchmark.gains.why) return missingFigure(title, benchmark.gains.why);
  const make = (arms) => {
    const series = arms.map(({ arm, look }) => ({ look, points: benchmark.gains.points.filter((point) => point.arm === arm).map((point) => ({
      x: 100 * point.recall, y: 100 * point.gains.em,
      tip: `${arm}, ${point.field}\n${fixed(100 * point.recall, 0)}% of the copies keep a name and the value\nEM ${fixed(100 * point.gains.em, 0)} points over random`,
    })) })).filter((line) => line.points.length);
    return series.length ? drawChart(title, series, { x: "copies that keep a name and the value, %", y: "gain over random, EM points", xFromZero: true }) : null;
  };
  const metrics = Object.keys(benchmark.gains.points[0].gains);
  const correlation = benchmark.gains.correlations.find((pair) => pair.metric === "em");
  const found = correlation ? `Pearson's r ${interval(correlation.pearson, 1, 2)}, Spearman's ${interval(correlation.spearman, 1, 2)}; intervals over people.` : "No correlation: all shares, or all gains, are alike.";
  const note = `Each point is one field and one arm that drops tokens. ${found}`;
  const table = () => plainTable(title, ["arm", "field", "copies that keep the clue, %", ...metrics.map((metric) => `gain, ${METRIC_AXES[metric].gain}`)], benchmark.gains.points.map((point) => [
    point.arm, point.field, fixed(100 * point.recall, 0), ...metrics.map((metric) => fixed(METRIC_AXES[metric].scale * point.gains[metric], METRIC_AXES[metric].digits + 1))]), [1]);
  return figureOf(title, make, note, table);
}
