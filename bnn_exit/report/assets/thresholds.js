"use strict";
// Sliders and operating points set the thresholds; everything that depends on them is computed again at once.

// What is shown: the thresholds, the exit of every clip, and the figures that follow.
const state = { thresholds: new Array(exits - 1 + gate).fill(0), left: null, now: null };
const highest = clips.scores.slice(0, -1).reduce((most, scores) => scores.reduce((a, b) => Math.max(a, b), most), 0);
const ceiling = highest <= 1 ? 1 : Number(highest.toPrecision(2)) * 1.1;
const STEP = ceiling / 1000;
const sliders = []; // the shared one first, then one for each exit but the last, then that of a skip gate

function slider(name, change) {
  const id = `slider-${sliders.length}`;
  // The end lies one step beyond the highest score, where an exit always answers.
  const range = element("input", { type: "range", id, min: 0, max: ceiling + STEP, step: STEP, value: 0 });
  const exact = element("input", { type: "number", id: `${id}-exact`, min: 0, step: "any", value: 0, placeholder: "differ" });
  exact.setAttribute("aria-label", `${name}, exact threshold`);
  range.addEventListener("input", () => change(range.valueAsNumber));
  exact.addEventListener("input", () => {
    const valid = exact.valueAsNumber >= 0;
    exact.setAttribute("aria-invalid", String(!valid));
    if (valid) change(exact.valueAsNumber);
  });
  document
    .getElementById("sliders")
    .append(element("div", { className: "slider" }, element("label", { htmlFor: id, textContent: name }), range, exact));
  sliders.push({ range, exact });
}

function show(index, value) {
  const { range, exact } = sliders[index];
  if (document.activeElement !== exact) {
    exact.value = String(Number(value.toPrecision(9)));
    exact.setAttribute("aria-invalid", "false");
  }
  if (range.valueAsNumber !== value) range.value = value;
  range.setAttribute("aria-valuetext", Number(value.toPrecision(4)));
}

// The shared slider stays where it is while the exits differ.
function showShared(all) {
  const values = all.slice(0, exits - 1);
  if (new Set(values).size === 1) {
    show(0, values[0]);
  } else {
    sliders[0].exact.value = "";
    sliders[0].range.setAttribute("aria-valuetext", "the exits differ");
  }
}

function setThresholds(values) {
  state.thresholds = [...values];
  values.forEach((value, index) => show(index + 1, value));
  if (exits > 1) showShared(values);
  for (const button of document.querySelectorAll("#points button")) {
    const point = report.points[button.dataset.name].thresholds;
    button.setAttribute("aria-pressed", String(point.every((value, index) => Math.fround(value) === Math.fround(values[index]))));
  }
  update();
}

function makeControls() {
  const points = document.getElementById("points");
  for (const [name, point] of Object.entries(report.points)) {
    const button = element("button", { type: "button", textContent: name });
    button.dataset.name = name;
    button.addEventListener("click", () => setThresholds(point.thresholds));
    points.append(button);
  }
  if (exits < 2) {
    document.getElementById("sliders").append(element("p", { textContent: "This network has one exit: there is nothing to choose." }));
    return;
  }
  slider("All exits", (value) => setThresholds([...new Array(exits - 1).fill(value), ...state.thresholds.slice(exits - 1)]));
  for (let exit = 0; exit < exits - 1; exit += 1) {
    slider(`Exit ${exit + 1}`, (value) => setThresholds(state.thresholds.with(exit, value)));
  }
  if (gate) slider("Skip gate", (value) => setThresholds(state.thresholds.with(exits - 1, value)));
}

let speaking;
function speak(now) {
  clearTimeout(speaking); // not each step of a slider that moves, only where it stops
  speaking = setTimeout(() => {
    document.getElementById("spoken").textContent =
      `Accuracy ${percent(now.accuracy)}, mean cost ${percent(now.ops / full.ops, 1)} of the full network; ` +
      now.shares.map((share, index) => `exit ${index + 1} ${percent(share, 1)}`).join(", ") +
      (gate ? `; ${percent(now.skipped, 1)} skip the early heads` : "");
  }, 400);
}

function update() {
  state.left = exitsAt(state.thresholds);
  state.now = figuresOf(state.left);
  fillFigures(state);
  speak(state.now);
  fillTradeOff(state);
  fillShares(state);
  fillConfusion(state);
  redraw(["cost", "time", "shares", "confusion"]);
}
