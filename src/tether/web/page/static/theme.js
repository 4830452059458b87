/* Light or dark: as the system has it, or as somebody chose. Not a module, so that it runs before anything is drawn. */
(() => {
  const NEXT = { auto: "light", light: "dark", dark: "auto" };
  const root = document.documentElement;
  let known = "auto";
  try {
    known = localStorage.getItem("tether-theme") ?? "auto";
  } catch {
    // A browser that keeps nothing follows the system.
  }
  root.dataset.theme = known in NEXT ? known : "auto";
  root.addEventListener("tether-theme", () => {
    root.dataset.theme = NEXT[root.dataset.theme];
    try {
      localStorage.setItem("tether-theme", root.dataset.theme);
    } catch {
      // It holds for as long as the page is open.
    }
  });
})();
