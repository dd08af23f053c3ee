"use strict";
document.documentElement.classList.add("js");

// A player shows one of its pictures or texts; the slider (mouse, touch or arrow keys) says which, the button lets it run.
for (const player of document.querySelectorAll(".player")) {
  const frames = [...player.querySelectorAll("img, pre")];
  const named = (frame) => frame.alt || frame.title;
  const slider = player.querySelector("input");
  const button = player.querySelector("button");
  const words = player.querySelector("output");
  let clock = 0;

  const show = (index) => {
    frames.forEach((frame, i) => { frame.hidden = i !== index; });
    slider.value = index;
    words.textContent = named(frames[index]);
    slider.setAttribute("aria-valuetext", named(frames[index]));
  };
  const stop = () => {
    clearInterval(clock);
    clock = 0;
    button.textContent = "Play";
    button.setAttribute("aria-pressed", "false");
  };
  const play = () => {
    if (Number(slider.value) === frames.length - 1) show(0);
    button.textContent = "Pause";
    button.setAttribute("aria-pressed", "true");
    clock = setInterval(() => {
      const next = Number(slider.value) + 1;
      show(next);
      if (next === frames.length - 1) stop();
    }, Math.max(60, 3500 / frames.length));
  };
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => (clock ? stop() : play()));
  show(frames.length - 1);
}

// The two scales of a chart.
for (const chart of document.querySelectorAll(".chart")) {
  const buttons = [...chart.querySelectorAll("button")];
  const parts = [...chart.querySelectorAll("[data-scale]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      parts.forEach((part) => { part.hidden = part.dataset.scale !== button.value; });
    });
  }
}

// Light or dark: the system's choice until the reader takes another.
const scheme = document.querySelector(".scheme");
if (scheme) {
  const dark = () => getComputedStyle(document.documentElement).colorScheme === "dark";
  const name = () => { scheme.textContent = dark() ? "Light" : "Dark"; };
  scheme.addEventListener("click", () => { document.documentElement.dataset.scheme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
}
