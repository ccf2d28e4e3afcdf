// The desks, one tab each. All of them stay loaded: what happens in one that is not shown puts a mark on its tab.
const ASK_WITHIN_MS = 2000;
const tabs = document.getElementById("tabs");
const panels = document.getElementById("desks");
const desks = new Map();
const listeners = new Set();
let shown;

/** Call `listener(name)` whenever another desk is shown. */
export function onShow(listener) {
  listeners.add(listener);
}

/** The name of the desk that is shown. */
export const shownDesk = () => shown;

export function showDesk(name) {
  if (!desks.has(name)) return;
  shown = name;
  for (const [each, { tab, panel }] of desks) {
    const isShown = each === name;
    tab.setAttribute("aria-selected", String(isShown));
    tab.tabIndex = isShown ? 0 : -1;
    panel.classList.toggle("away", !isShown);
  }
  mark(name, false);
  for (const listener of listeners) listener(name);
}

/** Go where the conversation is, but never away from somebody who is typing: then the tab is only marked. */
export async function followTo(name) {
  if (!desks.has(name) || name === shown) return;
  const from = shown;
  if (await isTyping(desks.get(from).frame)) mark(name, true);
  else if (shown === from) showDesk(name);
}

function mark(name, isNew) {
  const { tab, label } = desks.get(name);
  tab.classList.toggle("new", isNew);
  tab.setAttribute("aria-label", isNew ? `${label}, something new` : label);
}

/** Only the frame knows: its page is of another origin. One that does not answer counts as being typed in if it has
 * the focus. */
function isTyping(frame) {
  if (!frame || document.activeElement !== frame) return Promise.resolve(false);
  return new Promise((resolve) => {
    const answer = (event) => { if (event.source === frame.contentWindow && typeof event.data?.typing === "boolean") done(event.data.typing); };
    const timer = setTimeout(() => done(true), ASK_WITHIN_MS);
    function done(typing) {
      removeEventListener("message", answer);
      clearTimeout(timer);
      resolve(typing);
    }
    addEventListener("message", answer);
    frame.contentWindow.postMessage({ asks: "typing" }, new URL(frame.src).origin);
  });
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function add({ name, label, url, why }) {
  const tab = element("button", { type: "button", className: "tab", id: `tab-${name}` }, label, element("span", { className: "mark" }));
  const panel = element("div", { className: "desk away", id: `desk-${name}` });
  tab.setAttribute("role", "tab");
  tab.setAttribute("aria-controls", panel.id);
  tab.addEventListener("click", () => showDesk(name));
  panel.setAttribute("role", "tabpanel");
  panel.setAttribute("aria-labelledby", tab.id);
  const frame = url ? element("iframe", { id: name, title: `The team’s ${label}`, src: `${url}/?embed=1` }) : null;
  panel.append(frame ?? element("p", { className: "absent", textContent: why }));
  desks.set(name, { label, tab, panel, frame });
  tabs.append(tab);
  panels.append(panel);
}

tabs.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const names = [...desks.keys()];
  const next = names[(names.indexOf(shown) + step + names.length) % names.length];
  showDesk(next);
  desks.get(next).tab.focus();
});
addEventListener("message", (event) => {
  for (const [name, { frame }] of desks) {
    if (frame && event.source === frame.contentWindow && event.data?.news === true && name !== shown) mark(name, true);
  }
});

/** Make the tabs of these desks and show the first one. */
export function makeTabs(all) {
  for (const desk of all) add(desk);
  if (all.length) showDesk(all[0].name);
}
