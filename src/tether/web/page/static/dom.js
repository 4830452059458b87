/**
 * Elements of the page, made without any HTML text.
 *
 * @module
 */

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * Make an element.
 *
 * @param {string} tag
 * @param {Record<string, any>} [props] attributes; `class`, `text` and `on` (listeners by event) are special, and
 *   what is null, undefined or false is left out
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "on") listen(element, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter(isShown));
  return element;
}

/**
 * Make a button; one with an icon alone has a label for those who do not see it.
 *
 * @param {{label: string, icon?: string, shown?: boolean, class?: string, press: (event: Event) => void}} options
 *   `shown`: whether the label stands beside the icon
 * @returns {HTMLButtonElement}
 */
export function button({ label, icon: name, shown = !name, class: style = "", press }) {
  const hint = shown ? {} : { "aria-label": label, title: label };
  const props = { type: "button", class: `button ${style}`, ...hint, on: { click: press } };
  return /** @type {HTMLButtonElement} */ (
    el("button", props, name && icon(name), shown && el("span", { text: label }))
  );
}

/**
 * Show other children, and leave those that stay where they are.
 *
 * @param {Element} parent
 * @param {Node[]} children
 */
export function setChildren(parent, children) {
  children.forEach((child, index) => {
    const present = parent.childNodes[index];
    if (present !== child) parent.insertBefore(child, present ?? null);
  });
  while (parent.childNodes.length > children.length) parent.lastChild?.remove();
}

/**
 * Set a text only where it differs: a screen reader and the layout take note of each change.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * An icon of the page, in the colour of the text.
 *
 * @param {string} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries(DRAWING)) svg.setAttribute(key, value);
  svg.classList.add(`icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

const SVG = "http://www.w3.org/2000/svg";

const DRAWING = {
  viewBox: "0 0 20 20",
  class: "icon",
  fill: "none",
  stroke: "currentColor",
  "stroke-width": "1.5",
  "stroke-linecap": "round",
  "stroke-linejoin": "round",
  "aria-hidden": "true",
};

/** @type {Record<string, string>} */
const PATHS = {
  add: "M10 4v12M4 10h12",
  attach: "M16 9.5 10.4 15a3.6 3.6 0 0 1-5.1-5.1l6-6a2.4 2.4 0 0 1 3.4 3.4l-5.9 5.9a1.2 1.2 0 0 1-1.7-1.7l5.2-5.2",
  auto: "M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14",
  close: "M5 5l10 10M15 5 5 15",
  copy: "M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3",
  dark: "M16 11.5A6.5 6.5 0 0 1 8.5 4a6.5 6.5 0 1 0 7.5 7.5z",
  down: "M10 4v12M5 11l5 5 5-5",
  edit: "M4 16l.8-3.4L13 4.4l2.6 2.6-8.2 8.2z",
  file: "M6 3h5.5L15 6.5V17H6zM11.5 3v3.5H15",
  fork: "M6 4v12M6 11c0-3 8-1.5 8-5M14 6V4.5M4.5 4h3M12.5 4.5h3",
  light:
    "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M4.3 15.7l1.1-1.1M14.6 5.4l1.1-1.1",
  menu: "M3.5 6h13M3.5 10h13M3.5 14h13",
  more: "M4.5 10h.1M10 10h.1M15.5 10h.1",
  send: "M10 16V4M5 9l5-5 5 5",
  stop: "M6 6h8v8H6z",
  help: "M7.5 7.5a2.5 2.5 0 1 1 3.6 2.200c-.7.4-1.1.9-1.1 1.800M10 14.5h.01",
};

/** @param {Child} child @returns {child is Node | string} */
function isShown(child) {
  return child !== null && child !== undefined && child !== false && child !== "";
}

/** @param {Element} element @param {Record<string, (event: any) => void>} listeners */
function listen(element, listeners) {
  for (const [type, listener] of Object.entries(listeners)) element.addEventListener(type, listener);
}
