"use strict";
// Clips with the picture of their log-mel or values and, of sound and where the page has room for it, their sound.

const ABOUT = {
  "Hardest": "The most difficult clips: the exits are unsure, or sure of different classes.",
  "Overthought": "An early exit is right, the last one wrong.",
  "Label in doubt": "All exits give one other class, as surely as they do in clips of that label. The label may be wrong, or all exits are.",
};

function card(clip) {
  const label = report.labels[clip.label];
  const said = clip.predicted.map((taken, exit) => {
    const text = `exit ${exit + 1}: ${report.labels[taken]} ${percent(clip.confidence[exit], 0)}, score ${clip.scores[exit].toFixed(3)}`;
    return element("p", taken === clip.label ? { textContent: text } : { className: "wrong", textContent: `${text} – wrong` });
  });
  // Values of sensors have none.
  const sounds = "sound" in clip ? [clip.sound
    ? element("audio", { controls: true, preload: "none", src: clip.sound })
    : element("p", { textContent: "No sound: the page would grow beyond 10 MB." })] : [];
  for (const sound of sounds) sound.setAttribute("aria-label", `Sound of ${clip.name}`);
  return element(
    "li",
    {},
    element("img", { src: clip.picture, alt: `${clip.picture_of} of ${clip.name}, labelled ${label}`, loading: "lazy" }),
    ...sounds,
    element("p", {}, element("strong", { textContent: label }), ` difficulty ${clip.difficulty.toFixed(3)}`),
    ...said,
    element("p", { className: "name", textContent: clip.name }),
  );
}

function makeGallery() {
  if (!Object.values(report.gallery).some((clip) => "sound" in clip)) {
    document.getElementById("clips-title").textContent = "Windows to look at";
  }
  for (const list of report.lists) {
    const found = list.found ? ` (${list.clips.length} of ${list.found})` : "";
    document.getElementById("gallery").append(
      element("h3", { textContent: `${list.name}${found}` }),
      element("p", { textContent: ABOUT[list.name] ?? "" }),
      list.clips.length
        ? element("ul", { className: "clips" }, ...list.clips.map((clip) => card(report.gallery[clip])))
        : element("p", { textContent: "None." }),
    );
  }
}
