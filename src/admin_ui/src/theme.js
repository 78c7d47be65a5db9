// SPDX-License-Identifier: Apache-2.0
// Which theme is shown: that of the system, or the one that was chosen in this browser.

const name = "memfs_cache.theme";
const themes = ["system", "light", "dark"];

export const theme = () => (themes.includes(localStorage.getItem(name)) ? localStorage.getItem(name) : "system");

export function nextTheme() {
  localStorage.setItem(name, themes[(themes.indexOf(theme()) + 1) % themes.length]);
  apply();
}

function apply() {
  document.documentElement.dataset.theme = theme();
  document.dispatchEvent(new Event("theme-change"));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
apply();
