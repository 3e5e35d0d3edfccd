// Lets the keyboard scroll what is wider than its place: only while that is so, Tab comes to it and it tells its name.

export function markWide() {
  for (const part of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".scroll"))) {
    const isWide = part.scrollWidth > part.clientWidth;
    const marks = { tabindex: "0", role: "region", "aria-label": part.dataset.name ?? "" };
    for (const [name, value] of Object.entries(marks)) {
      if (isWide) part.setAttribute(name, value);
      else part.removeAttribute(name);
    }
  }
}
