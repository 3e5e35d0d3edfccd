// Says when a page's colours are others: with the system's, and on paper, which is light.

/** @param {() => void} redraw */
export function onThemeChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  for (const [type, isPaper] of /** @type {const} */ ([["beforeprint", true], ["afterprint", false]])) {
    addEventListener(type, () => {
      document.documentElement.classList.toggle("paper", isPaper);
      redraw();
    });
  }
}
