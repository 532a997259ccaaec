"use strict";
// Figures as text: the cards below the sliders, and a table beside every chart.

const percent = (share, digits = 2) => `${(100 * share).toFixed(digits)} %`;
const count = (value) => Math.round(value).toLocaleString("en");
const microseconds = (value, unit = "") => (value === null ? "–" : `${value.toFixed(1)}${unit}`);
const total = (values) => values.reduce((sum, value) => sum + value, 0);
const exitNames = report.exits.map((_, index) => `exit ${index + 1}`);
const curve = sweep(200);

function element(kind, properties = {}, ...children) {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
}

function fillTable(id, caption, header, rows) {
  const cells = (kind, row) => row.map((text) => element(kind, { textContent: text }));
  document
    .getElementById(id)
    .replaceChildren(
      element("caption", { textContent: caption }),
      element("thead", {}, element("tr", {}, ...cells("th", header))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells("td", row)))),
    );
}

// Every confusion, the most frequent first.
function confusions(matrix) {
  return matrix
    .flatMap((row, truth) => row.map((number, taken) => ({ truth, taken, number, share: number / Math.max(1, total(row)) })))
    .filter((pair) => pair.number && pair.truth !== pair.taken)
    .sort((one, other) => other.number - one.number);
}

function fillTradeOff({ now }) {
  const row = (name, figures) => [
    name, percent(figures.accuracy), percent(figures.ops / full.ops, 1), count(figures.ops),
    ...[figures.front_end_us, figures.time_us, figures.whole_us].map((value) => microseconds(value)),
  ];
  fillTable("trade-off-table", "Times of operating points and exits are measured, the others weighted means of these.",
    ["thresholds", "accuracy", "ops, share", "ops", "front end, mean µs", "network, mean µs", "both, mean µs"],
    [
      row("now", now),
      ...Object.entries(report.points).map(([name, figures]) => row(name, figures)),
      ...report.exits.map((figures, index) => row(`all at exit ${index + 1}`, figures)),
      ...curve
        .filter((_, index) => index % 10 === 0 || index === curve.length - 1)
        .map((figures) => row(`all ${figures.threshold.toPrecision(3)}`, figures)),
    ]);
}

function fillShares({ now }) {
  fillTable("shares-table", "At the thresholds above", ["exit", "clips", "share", "right there"],
    [
      ...exitNames.map((name, index) => [
        name, count(now.counts[index]), percent(now.shares[index], 1),
        now.counts[index] ? percent(now.right[index] / now.counts[index]) : "–",
      ]),
      ...(gate ? [["of these sent past the early heads", count(state.left.skipped), percent(now.skipped, 1), "–"]] : []),
    ]);
}

function fillConfusion({ left }) {
  fillTable("confusion-table", "Every confusion, at the thresholds above", ["true class", "taken for", "clips", "share of the class"],
    confusions(confusionOf(left)).map((pair) => [
      report.labels[pair.truth], report.labels[pair.taken], count(pair.number), percent(pair.share, 1),
    ]));
}

function fillReliability() {
  fillTable("reliability-table",
    `Expected calibration error: ${report.reliability.map((exit, index) => `${exitNames[index]} ${percent(exit.error)}`).join(", ")}`,
    ["exit", "mean confidence", "right", "clips"],
    report.reliability.flatMap((exit, index) =>
      exit.counts.map((number, bin) => [exitNames[index], percent(exit.confidence[bin], 1), percent(exit.accuracy[bin], 1), count(number)]),
    ));
}

function fillClasses() {
  document.getElementById("definition").textContent = report.definition;
  fillTable("classes-table", "The hardest class first; accuracy and confusions are those of the last exit.",
    ["class", "clips", "mean difficulty", "accuracy", "most confused with"],
    report.classes.map((row) => [row.label, count(row.clips), row.difficulty.toFixed(3), percent(row.accuracy), row.confused_with ?? "–"]));
}

function fillFigures({ now }) {
  const lost = full.accuracy - now.accuracy;
  const rows = [
    ["accuracy", "Accuracy", now.accuracy, percent(now.accuracy)],
    ["lost", "Lost against the last exit", lost, `${(100 * lost).toFixed(2)} pp`],
    ["ops-share", "Mean cost, of the full network", now.ops / full.ops, percent(now.ops / full.ops, 1)],
    ["ops", "Mean ops", now.ops, count(now.ops)],
    ["binary-macs", "Mean binary MACs", now.binary_macs, count(now.binary_macs)],
    ["float-macs", "Mean float MACs", now.float_macs, count(now.float_macs)],
    ["front-end-time", "Mean time of the front end", now.front_end_us, microseconds(now.front_end_us, " µs")],
    ["time", "Mean time of the network, from the exits' times", now.time_us, microseconds(now.time_us, " µs")],
    ["whole-time", "Mean time of front end + network", now.whole_us, microseconds(now.whole_us, " µs")],
    ...now.shares.map((share, index) => [`share-${index + 1}`, `Leave at exit ${index + 1}`, share, percent(share, 1)]),
  ];
  document.getElementById("figures").replaceChildren(
    ...rows.map(([id, name, value, text]) => {
      const shown = element("dd", { id, textContent: text });
      shown.dataset.value = value;
      return element("div", {}, element("dt", { textContent: name }), shown);
    }),
  );
}
