// What goes wrong at the desk that is shown: each switch stays on until it is switched off.
import { onShow, shownDesk } from "./tabs.js";

const box = document.getElementById("faults");
let labels;

async function call(name, on) {
  const path = `faults?desk=${encodeURIComponent(name)}`;
  const told = { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ desk: name, on }) };
  try {
    const answer = await fetch(path, on && told);
    return answer.ok ? (await answer.json()).faults : [];
  } catch {
    return [];
  }
}

async function draw(name, on) {
  const faults = await call(name, on);
  if (shownDesk() !== name) return;
  const label = labels.get(name);
  const focused = document.activeElement?.dataset?.fault;
  box.setAttribute("aria-label", `What goes wrong in ${label}`);
  box.replaceChildren(Object.assign(document.createElement("span"), { className: "hint", textContent: `Make ${label} misbehave:` }), ...faults.map((fault) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "fault", textContent: fault.label, title: fault.hint });
    button.dataset.fault = fault.name;
    button.setAttribute("aria-pressed", String(fault.on));
    const others = faults.filter((each) => each.on && each !== fault).map((each) => each.name);
    button.addEventListener("click", () => draw(name, fault.on ? others : [...others, fault.name]));
    return button;
  }));
  const effects = faults.filter((fault) => fault.on).map((fault) => fault.hint).join(". ");
  box.append(Object.assign(document.createElement("span"), { className: "hint effect", textContent: effects, title: effects }));
  if (focused) box.querySelector(`[data-fault="${focused}"]`)?.focus();
}

/** Show the switches of whichever desk is shown. */
export function makeFaults(desks) {
  labels = new Map(desks.map((desk) => [desk.name, desk.label]));
  const isHere = new Map(desks.map((desk) => [desk.name, Boolean(desk.url)]));
  onShow((name) => {
    box.hidden = !isHere.get(name);
    box.replaceChildren();
    if (isHere.get(name)) draw(name);
  });
}
