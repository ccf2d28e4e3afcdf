// Small helpers around the DOM. Text always goes in as text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  reply: "M4 5h12v8H9l-4 3v-3H4z",
  smile: "M10 2a8 8 0 1 0 0 16 8 8 0 0 0 0-16M6.8 12a4 4 0 0 0 6.4 0M7.3 7.6v.6M12.7 7.6v.6",
  more: "M4.5 10h.01M10 10h.01M15.5 10h.01",
  close: "M5 5l10 10M15 5L5 15",
  back: "M12.5 4.5L7 10l5.5 5.5",
  send: "M3 4l14 6-14 6 2.2-6zM5.2 10H11",
  attach: "M13.5 7.5l-5 5a1.8 1.8 0 0 0 2.5 2.5l5-5a3.5 3.5 0 0 0-5-5l-5.3 5.3a5.2 5.2 0 0 0 7.4 7.4",
  bolt: "M11 2L4.5 11H9l-1 7 6.5-9H10z",
  file: "M5 2.5h6.5L15 6v11.5H5zM11.5 2.5V6H15",
  eye: "M2 10s3-5 8-5 8 5 8 5-3 5-8 5-8-5-8-5m8-2.2a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4",
};

/** Make an element. `props`: class, text, on (listeners), dataset, aria attributes and plain properties. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name in element && name !== "list" && name !== "role") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Draw one of the line icons; it is decoration, so the button around it carries the label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function iconButton(name, label, listener, extra = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click: listener }, ...extra }, icon(name));
}

/** Only these schemes become links; anything else stays text. */
export function safeUrl(url) {
  try {
    const parsed = new URL(url);
    return ["http:", "https:", "mailto:"].includes(parsed.protocol) ? parsed.href : null;
  } catch {
    return null;
  }
}

export function link(url, label) {
  const href = safeUrl(url);
  if (!href) return document.createTextNode(label || url);
  return h("a", { href, target: "_blank", rel: "noopener noreferrer", text: label || url });
}

/** Tell the person something for a few seconds; `action` adds a button. */
export function notice(text, { action, label, isError = false } = {}) {
  const box = h("div", { class: isError ? "notice error" : "notice" }, h("span", { text }));
  if (action) box.append(h("button", { type: "button", class: "link", text: label, on: { click: () => { box.remove(); action(); } } }));
  document.getElementById("notices").append(box);
  setTimeout(() => box.remove(), action ? 12000 : 6000);
}

/** A menu under a button: arrow keys move, Escape closes and gives the focus back. */
export function openMenu(anchor, items) {
  document.querySelector(".menu")?.remove();
  const close = (refocus) => { menu.remove(); document.removeEventListener("pointerdown", outside); if (refocus) anchor.focus(); };
  const outside = (event) => { if (!menu.contains(event.target)) close(false); };
  const menu = h("div", { class: "menu", role: "menu" }, items.map((item) => h("button", {
    type: "button", role: "menuitem", class: item.danger ? "menu-item danger" : "menu-item", text: item.label,
    on: { click: () => { close(true); item.run(); } },
  })));
  menu.addEventListener("keydown", (event) => {
    const entries = [...menu.children];
    const at = entries.indexOf(document.activeElement);
    if (event.key === "Escape" || event.key === "Tab") { event.stopPropagation(); close(true); }
    if (event.key === "ArrowDown") entries[(at + 1) % entries.length].focus();
    if (event.key === "ArrowUp") entries[(at - 1 + entries.length) % entries.length].focus();
    if (event.key.startsWith("Arrow")) event.preventDefault();
  });
  document.body.append(menu);
  const place = anchor.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(place.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`;
  const below = place.bottom + 4 + menu.offsetHeight < innerHeight;
  menu.style.top = `${Math.max(8, below ? place.bottom + 4 : place.top - menu.offsetHeight - 4)}px`;
  menu.firstElementChild?.focus();
  document.addEventListener("pointerdown", outside);
}
