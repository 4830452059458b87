/* Light or dark: as the system has it, or as somebody chose. Not a module, so that it runs before anything is drawn. */
(() => {
  /** @type {Record<string, string>} */
  const NEXT = { auto: "light", light: "dark", dark: "auto" };
  const root = document.documentElement;
  let known = "auto";
  try {
    known = localStorage.getItem("tether-theme") ?? "auto";
  } catch {
    // A browser that keeps nothing follows the system.
  }
  root.dataset.theme = Object.hasOwn(NEXT, known) ? known : "auto";
  root.addEventListener("tether-theme", () => {
    known = NEXT[root.dataset.theme ?? "auto"];
    root.dataset.theme = known;
    try {
      localStorage.setItem("tether-theme", known);
    } catch {
      // It holds for as long as the page is open.
    }
  });
})();
