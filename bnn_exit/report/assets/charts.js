"use strict";
// Charts by Bokeh; tables.js says the same in words and numbers. Each function here makes a chart in the colours of the
// theme, and returns one that brings it up to date with `state`.

const MARKS = ["circle", "square", "diamond", "triangle", "star", "inverted_triangle"];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const exitColour = (index) => colour(`exit-${1 + (index % 6)}`);
// Bokeh would look for TeX between two $$; names are to be read as they are.
const plain = (text) => text.replaceAll("$$", "$\u200b$");
// Long ones are cut, but stay apart: an axis wants names that differ.
const LENGTH = 24;
const axisNames = report.labels.map((label, index) =>
  plain(label.length > LENGTH ? `${label.slice(0, LENGTH - 5)}… ${index + 1}` : label),
);
const field = (name) => ({ field: name });
const opening = new Map(); // chart -> the promise of its view
const narrow = () => window.innerWidth < 700;

function newPlot(options) {
  const plot = new Bokeh.Plotting.figure({
    height: 360, sizing_mode: "stretch_width", tools: [], toolbar_location: null,
    background_fill_color: null, border_fill_color: null, outline_line_color: colour("line"), ...options,
  });
  for (const axis of plot.axes) {
    Object.assign(axis, {
      axis_label_text_color: colour("ink"), major_label_text_color: colour("ink"), axis_label_text_font_style: "normal",
      axis_line_color: colour("line"), major_tick_line_color: colour("line"), minor_tick_line_color: null,
    });
  }
  for (const grid of plot.grids) grid.grid_line_color = colour("line");
  return plot;
}

function addLegend(plot, entries) {
  const items = entries.map(([label, ...renderers]) => new Bokeh.LegendItem({ label: { value: label }, renderers }));
  const style = { label_text_color: colour("ink"), background_fill_color: null, border_line_color: null, label_text_font_size: "12px" };
  plot.add_layout(new Bokeh.Legend({ items, ncols: narrow() ? 2 : 4, orientation: "horizontal", padding: 0, ...style }), "above");
}

function addHover(plot, renderers, tooltips) {
  plot.add_tools(new Bokeh.HoverTool({ renderers, tooltips }));
}

function place(id, plot) {
  const target = element("div");
  document.querySelector(`#${id} .chart`).replaceChildren(target);
  opening.get(id)?.then((view) => view.remove());
  opening.set(id, Bokeh.Plotting.show(plot, target));
}

function describe(id, summary) {
  const chart = document.querySelector(`#${id} .chart`);
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", summary);
}

const AGAINST = {
  cost: { x: (row) => (100 * row.ops) / full.ops, title: "mean cost (ops, % of the full network)", unit: "% of the ops" },
  time: {
    x: (row) => row.whole_us ?? row.time_us,
    title: full.whole_us === null ? "mean time of the network (µs)" : "mean time of front end + network (µs)",
    unit: "µs",
    parts: [["front end", "@front_end µs"], ["network", "@network µs"]],
  },
};

function tradeOff(id) {
  const { x, title, unit, parts = [] } = AGAINST[id];
  const columns = (rows, names) => ({
    x: rows.map(x), y: rows.map((row) => 100 * row.accuracy), name: names,
    front_end: rows.map((row) => microseconds(row.front_end_us)), network: rows.map((row) => microseconds(row.time_us)),
  });
  const source = (rows, names) => new Bokeh.ColumnDataSource({ data: columns(rows, names) });
  const plot = newPlot({ x_axis_label: title, y_axis_label: "accuracy (%)" });
  const scatter = (data, style) => plot.scatter(field("x"), field("y"), { source: data, ...style });

  const swept = source(curve, curve.map((row) => `all ${row.threshold.toPrecision(3)}`));
  const line = plot.line(field("x"), field("y"), { source: swept, line_color: colour("faint"), line_width: 2 });
  const ends = scatter(source(report.exits, exitNames.map((name) => `all at ${name}`)), {
    marker: "dash", angle: Math.PI / 2, size: 18, line_width: 2, line_color: colour("ink"),
  });
  const points = Object.entries(report.points).map(([name, row], index) =>
    scatter(source([row], [name]), { marker: MARKS[index % 6], size: 11, fill_color: exitColour(index), line_color: colour("paper") }),
  );
  const shown = new Bokeh.ColumnDataSource({ data: columns([], []) });
  const now = scatter(shown, { marker: "circle", size: 22, fill_color: null, line_color: colour("mark"), line_width: 3 });
  addLegend(plot, [
    ["one threshold", line],
    ["all at one exit", ends],
    ...Object.keys(report.points).map((name, index) => [plain(name), points[index]]),
    ["now", now],
  ]);
  addHover(plot, [line, ends, ...points, now], [["", "@name"], ["accuracy", "@y{0.00} %"], [id, `@x{0.0} ${unit}`], ...parts]);
  place(id, plot);
  const accuracies = curve.map((row) => row.accuracy);
  return () => {
    shown.data = columns([state.now], ["now"]);
    describe(
      id,
      `Accuracy from ${percent(Math.min(...accuracies))} to ${percent(Math.max(...accuracies))}; ` +
        `now ${percent(state.now.accuracy)} at ${x(state.now).toFixed(1)} ${unit}. The table below has the values.`,
    );
  };
}

function sharesChart() {
  const source = new Bokeh.ColumnDataSource({ data: { name: [], right: [], all: [] } });
  const plot = newPlot({ x_range: exitNames, y_range: [0, 100], y_axis_label: "clips (%)" });
  const style = { source, width: 0.8, line_color: colour("ink") };
  const right = plot.vbar({ x: field("name"), top: field("right"), fill_color: colour("exit-1"), ...style });
  const wrong = plot.vbar({
    x: field("name"), bottom: field("right"), top: field("all"), fill_color: colour("exit-2"),
    hatch_pattern: "/", hatch_color: colour("paper"), ...style,
  });
  addLegend(plot, [["right", right], ["wrong", wrong]]);
  addHover(plot, [right, wrong], [["", "@name"], ["leave here", "@all{0.0} %"], ["right", "@right{0.0} %"]]);
  place("shares", plot);
  return () => {
    const shares = (counts) => counts.map((number) => (100 * number) / clips.truth.length);
    source.data = { name: exitNames, right: shares(state.now.right), all: shares(state.now.counts) };
    describe("shares", exitNames.map((name, index) => `${name} ${percent(state.now.shares[index], 1)}`).join(", "));
  };
}

function confusionChart() {
  const labels = axisNames;
  const source = new Bokeh.ColumnDataSource({ data: { truth: [], taken: [], number: [], share: [], fill: [], strength: [] } });
  const plot = newPlot({
    height: 480, x_range: labels, y_range: [...labels].reverse(), x_axis_label: "taken for", y_axis_label: "true class",
  });
  for (const axis of plot.axes) axis.major_label_policy = new Bokeh.NoOverlap();
  plot.xaxes[0].major_label_orientation = "vertical";
  const cells = plot.rect({
    x: field("taken"), y: field("truth"), width: 1, height: 1, source,
    fill_color: field("fill"), fill_alpha: field("strength"), line_color: colour("paper"),
  });
  addHover(plot, [cells], [["true class", "@truth"], ["taken for", "@taken"], ["clips", "@number"], ["of the class", "@share{0.0} %"]]);
  place("confusion", plot);
  return () => {
    const matrix = confusionOf(state.left);
    const wrong = confusions(matrix);
    const right = matrix.map((row, truth) => ({ truth, taken: truth, number: row[truth], share: row[truth] / Math.max(1, total(row)) }));
    const drawn = [...right.filter((cell) => cell.number), ...wrong];
    source.data = {
      truth: drawn.map((cell) => labels[cell.truth]),
      taken: drawn.map((cell) => labels[cell.taken]),
      number: drawn.map((cell) => cell.number),
      share: drawn.map((cell) => 100 * cell.share),
      fill: drawn.map((cell) => colour(cell.truth === cell.taken ? "exit-1" : "exit-2")),
      strength: drawn.map((cell) => strengthOf(cell.number, total(matrix[cell.truth]), clips.truth.length / labels.length)),
    };
    const [worst] = wrong;
    describe(
      "confusion",
      worst
        ? `${total(wrong.map((cell) => cell.number))} confusions; most often ${report.labels[worst.truth]} is taken for ` +
            `${report.labels[worst.taken]}, in ${worst.number} clips. The table below has all.`
        : "No confusions.",
    );
  };
}

function reliabilityChart() {
  const largest = Math.max(...report.reliability.flatMap((exit) => exit.counts));
  const plot = newPlot({ height: 420, x_range: [0, 103], y_range: [0, 103], x_axis_label: "mean confidence (%)", y_axis_label: "right (%)" });
  const diagonal = plot.line([0, 100], [0, 100], { line_color: colour("faint"), line_dash: "dotted", line_width: 2 });
  const drawn = report.reliability.map((exit, index) => {
    const source = new Bokeh.ColumnDataSource({
      data: {
        x: exit.confidence.map((value) => 100 * value),
        y: exit.accuracy.map((value) => 100 * value),
        number: exit.counts,
        size: exit.counts.map((value) => 6 + 14 * Math.sqrt(value / largest)),
        name: exit.counts.map(() => exitNames[index]),
      },
    });
    return [
      plot.line(field("x"), field("y"), { source, line_color: exitColour(index), line_width: 1.5 }),
      plot.scatter(field("x"), field("y"), {
        source, size: field("size"), marker: MARKS[index % 6], fill_color: exitColour(index), line_color: exitColour(index), fill_alpha: 0.6,
      }),
    ];
  });
  addLegend(plot, [
    ["as sure as right", diagonal],
    ...drawn.map((renderers, index) => [`${exitNames[index]}, error ${percent(report.reliability[index].error, 1)}`, ...renderers]),
  ]);
  addHover(plot, drawn.map(([, marks]) => marks), [["", "@name"], ["says", "@x{0.0} %"], ["right", "@y{0.0} %"], ["clips", "@number"]]);
  place("reliability", plot);
  const errors = report.reliability.map((exit, index) => `${exitNames[index]} ${percent(exit.error)}`);
  return () => describe("reliability", `Expected calibration error: ${errors.join(", ")}. The table below has the bins.`);
}

function classesChart() {
  const rows = [...report.classes].reverse(); // the axis begins at the bottom
  const source = new Bokeh.ColumnDataSource({
    data: {
      name: rows.map((row) => axisNames[report.labels.indexOf(row.label)]),
      difficulty: rows.map((row) => row.difficulty),
      number: rows.map((row) => row.clips),
      accuracy: rows.map((row) => 100 * row.accuracy),
    },
  });
  const plot = newPlot({ height: 80 + 18 * rows.length, y_range: source.data.name, x_axis_label: "mean difficulty" });
  const bars = plot.hbar({ y: field("name"), right: field("difficulty"), height: 0.8, source, fill_color: colour("exit-1"), line_color: null });
  addHover(plot, [bars], [["", "@name"], ["difficulty", "@difficulty{0.000}"], ["clips", "@number"], ["last exit right", "@accuracy{0.0} %"]]);
  place("classes", plot);
  return () =>
    describe("classes", `${report.classes[0].label} is the hardest class, ${rows[0].label} the easiest. The table below has all.`);
}
