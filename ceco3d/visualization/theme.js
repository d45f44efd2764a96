"use strict";
// Light or dark: as the system says until the button says otherwise. Runs before the page is painted.

const dark = matchMedia("(prefers-color-scheme: dark)");

function readTheme() {
  try {
    return localStorage.getItem("ceco3d-theme");
  } catch {
    return null; // storage is off
  }
}

let chosenTheme = readTheme();

function applyTheme() {
  const theme = chosenTheme ?? (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme")?.setAttribute("aria-pressed", theme === "dark");
  dispatchEvent(new Event("themechange"));
}

function toggleTheme() {
  chosenTheme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("ceco3d-theme", chosenTheme);
  } catch { /* the choice lasts until the page is closed */ }
  applyTheme();
}

dark.addEventListener("change", applyTheme);
applyTheme();
