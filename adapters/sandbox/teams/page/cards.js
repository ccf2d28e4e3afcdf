// Adaptive Cards as Teams shows them, of version 1.4: https://adaptivecards.io/explorer/

import { h, safeUrl } from "./dom.js";
import { store } from "./store.js";
import { markdown } from "./text.js";

let serial = 0;
const fresh = (name) => `${name}-${++serial}`;
const cls = (...names) => names.filter(Boolean).join(" ");
const low = (value) => String(value || "").toLowerCase();

/** `{{DATE(2026-11-22T10:00:00Z, SHORT)}}` and `{{TIME(...)}}` in the reader's own time zone. */
function localTimes(text) {
  return text.replace(/\{\{(DATE|TIME)\(([^,)]+)(?:,\s*(\w+))?\)\}\}/g, (whole, kind, at, form) => {
    const when = new Date(at.trim());
    if (Number.isNaN(when.valueOf())) return whole;
    if (kind === "TIME") return when.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
    const long = { LONG: { weekday: "long", year: "numeric", month: "long", day: "numeric" }, SHORT: { weekday: "short", year: "numeric", month: "short", day: "numeric" } }[form];
    return when.toLocaleDateString([], long);
  });
}

const look = (item) => cls(`ac-size-${low(item.size) || "default"}`, `ac-weight-${low(item.weight) || "default"}`, `ac-colour-${low(item.color) || "default"}`, item.isSubtle && "ac-subtle", low(item.fontType) === "monospace" && "ac-mono");

function textBlock(item, scope) {
  const box = markdown(localTimes(item.text || ""), scope.entities, { isCard: true });
  box.className = cls("ac-text", look(item), !item.wrap && "ac-nowrap", item.horizontalAlignment && `ac-align-${low(item.horizontalAlignment)}`);
  if (item.style === "heading") { box.setAttribute("role", "heading"); box.setAttribute("aria-level", "3"); }
  return box;
}

function run(each) {
  if (typeof each === "string") return document.createTextNode(each);
  let node = h("span", { class: cls("ac-run", look(each), each.highlight && "ac-highlight"), text: each.text });
  for (const [mark, tag] of [["italic", "em"], ["strikethrough", "s"], ["underline", "u"]]) if (each[mark]) node = h(tag, {}, node);
  const href = each.selectAction?.type === "Action.OpenUrl" ? safeUrl(each.selectAction.url) : null;
  return href ? h("a", { href, target: "_blank", rel: "noopener noreferrer" }, node) : node;
}

function picture(item) {
  const src = safeUrl(item.url) || (/^data:image\//.test(item.url || "") ? item.url : null);
  const image = src ? h("img", { class: cls("ac-image", `ac-image-${low(item.size) || "auto"}`), src, alt: item.altText || "" }) : null;
  return image || h("span", { class: "ac-unknown", text: item.altText || "image" });
}

const INPUTS = {
  "Input.Text"(item) {
    const area = item.isMultiline ? h("textarea", { rows: 3 }) : h("input", { type: { Email: "email", Url: "url", Tel: "tel", Password: "password" }[item.style] || "text" });
    if (item.maxLength) area.maxLength = item.maxLength;
    area.placeholder = item.placeholder || "";
    area.value = item.value || "";
    return area;
  },
  "Input.Number": (item) => h("input", { type: "number", min: item.min, max: item.max, value: item.value ?? "", placeholder: item.placeholder || "" }),
  "Input.Date": (item) => h("input", { type: "date", value: item.value || "" }),
  "Input.Time": (item) => h("input", { type: "time", value: item.value || "" }),
  "Input.Toggle"(item) {
    const box = h("input", { type: "checkbox", checked: (item.value || "false") === (item.valueOn || "true") });
    box.read = () => (box.checked ? item.valueOn || "true" : item.valueOff || "false");
    return box;
  },
  "Input.ChoiceSet"(item) {
    const chosen = String(item.value || "").split(",");
    const options = offered(item).map((each) => h("option", { value: each.value, text: each.title, selected: chosen.includes(each.value) }));
    if (item.isMultiSelect || item.style === "expanded") return choices(item, chosen);
    return h("select", {}, chosen[0] ? null : h("option", { value: "", text: item.placeholder || "Choose…", selected: true }), options);
  },
};

// People of the channel, where a card asks Teams to offer them:
// https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/people-picker
function offered(item) {
  const isPeople = (item["choices.data"]?.dataset || "").startsWith("graph.microsoft.com/users");
  const people = isPeople ? [...store.people.values()].filter((each) => each.is_member) : [];
  return [...(item.choices || []), ...people.map((each) => ({ title: each.name, value: each.aad }))];
}

function choices(item, chosen) {
  const name = fresh("choice"), kind = item.isMultiSelect ? "checkbox" : "radio";
  const boxes = (item.choices || []).map((each) => h("input", { type: kind, name, value: each.value, checked: chosen.includes(each.value) }));
  const group = h("div", { class: "ac-choices", role: "group" }, boxes.map((box, index) => h("label", {}, box, h("span", { text: item.choices[index].title }))));
  group.read = () => boxes.filter((box) => box.checked).map((box) => box.value).join(",");
  return group;
}

function input(item) {
  const field = INPUTS[item.type](item), id = fresh("input"), isToggle = item.type === "Input.Toggle";
  field.id = id;
  field.classList.add("ac-field");
  const wrong = h("p", { class: "ac-wrong", id: `${id}-wrong`, hidden: true, role: "alert" });
  const words = isToggle ? item.title : item.label;
  const label = words ? h("label", { class: isToggle ? "" : "ac-label", htmlFor: id }, words, item.isRequired ? h("span", { class: "ac-required", text: " *", "aria-hidden": "true" }) : null) : null;
  if (!label) field.setAttribute("aria-label", item.placeholder || item.id);
  const box = h("div", { class: cls("ac-input", isToggle && "ac-toggle") }, isToggle ? [field, label] : [label, field], wrong);
  box.input = { id: item.id, read: field.read || (() => field.value), field, wrong, item };
  return box;
}

function columns(item, scope) {
  return h("div", { class: "ac-columns" }, (item.columns || []).map((each) => {
    const column = container(each, scope, "ac-column");
    if (typeof each.width === "number" || /^\d+$/.test(each.width || "")) column.style.flex = `${each.width} 1 0`;
    else if (each.width === "stretch" || !each.width) column.style.flex = "1 1 0";
    else if (/px$/.test(each.width || "")) column.style.flex = `0 0 ${each.width}`;
    return column;
  }));
}

function container(item, scope, name = "ac-container") {
  const box = h("div", { class: cls(name, item.style && `ac-style-${low(item.style)}`) }, items(item.items, scope));
  if (item.selectAction) {
    box.classList.add("ac-selectable");
    Object.assign(box, { tabIndex: 0, onclick: () => scope.run(item.selectAction, box), onkeydown: (event) => { if (event.key === "Enter") scope.run(item.selectAction, box); } });
    box.setAttribute("role", "button");
  }
  return box;
}

const ELEMENTS = {
  TextBlock: textBlock,
  RichTextBlock: (item) => h("p", { class: cls("ac-text", look(item.inlines?.length === 1 ? {} : item)) }, (item.inlines || []).map(run)),
  Image: picture,
  ImageSet: (item) => h("div", { class: "ac-images" }, (item.images || []).map(picture)),
  Container: container,
  ColumnSet: columns,
  FactSet: (item, scope) => h("dl", { class: "ac-facts" }, (item.facts || []).flatMap((fact) => [h("dt", {}, markdown(fact.title || "", scope.entities, { isCard: true })), h("dd", {}, markdown(localTimes(fact.value || ""), scope.entities, { isCard: true }))])),
  ActionSet: (item, scope) => actions(item.actions, scope),
};

function items(list, scope) {
  return (list || []).map((item, index) => {
    const make = INPUTS[item.type] ? input : ELEMENTS[item.type];
    const node = make ? make(item, scope) : h("p", { class: "ac-unknown", text: `${item.type}: Teams does not show this` });
    if (index) node.classList.add(`ac-gap-${low(item.spacing) || "default"}`);
    if (item.separator) node.classList.add("ac-separated");
    if (item.id) node.dataset.element = item.id;
    if (item.isVisible === false) node.hidden = true;
    return node;
  });
}

/** Buttons in a row, and below it the card of the one that is open. */
function actions(list, scope) {
  const row = h("div", { class: "ac-actions" }), below = h("div", { class: "ac-shown" });
  for (const action of list || []) {
    if (scope.isOld && action.type === "Action.Execute" && !action.fallback) continue;
    const button = h("button", { type: "button", class: cls("ac-button", `ac-button-${low(action.style) || "default"}`), text: action.title });
    if (action.type === "Action.ShowCard") showCard(action, button, below, scope);
    else button.addEventListener("click", () => scope.run(action, button));
    row.append(button);
  }
  return h("div", { class: "ac-action-set" }, row, below);
}

function showCard(action, button, below, scope) {
  button.setAttribute("aria-expanded", "false");
  button.dataset.show = action.title;
  const card = body(action.card || {}, scope);
  card.hidden = true;
  below.append(card);
  button.addEventListener("click", () => {
    const opens = card.hidden;
    for (const other of below.children) other.hidden = true;
    for (const other of button.parentElement.querySelectorAll("[aria-expanded]")) other.setAttribute("aria-expanded", "false");
    card.hidden = !opens;
    button.setAttribute("aria-expanded", String(opens));
    if (opens) card.querySelector(".ac-field")?.focus();
  });
}

function body(card, scope) {
  return h("div", { class: "ac-card" }, items(card.body, scope), card.actions?.length ? actions(card.actions, scope) : null);
}

/** The inputs that go along with an action: of its own card and of those around it. */
function inputsFor(node) {
  const around = [];
  for (let card = node.closest(".ac-card"); card; card = card.parentElement.closest(".ac-card")) around.push(card);
  const root = around[around.length - 1];
  return [...root.querySelectorAll(".ac-input")].filter((each) => around.includes(each.closest(".ac-card"))).map((each) => each.input);
}

function complete(inputs) {
  let first = null;
  for (const { field, wrong, item, read } of inputs) {
    const isMissing = Boolean(item.isRequired) && !read();
    wrong.hidden = !isMissing;
    wrong.textContent = isMissing ? item.errorMessage || "This field must be filled in." : "";
    field.setAttribute("aria-invalid", String(isMissing));
    if (isMissing) { field.setAttribute("aria-describedby", wrong.id); first ||= field; }
  }
  first?.focus();
  return !first;
}

/** Draw a card. `press(action, inputs)` is called for Execute and Submit, and answers a promise. */
export function renderCard(card, press, { isOld = false } = {}) {
  const run = async (action, node) => {
    if (action.type === "Action.OpenUrl") { const href = safeUrl(action.url); if (href) window.open(href, "_blank", "noopener"); return; }
    if (action.type === "Action.ToggleVisibility") {
      for (const each of action.targetElements || []) for (const target of root.querySelectorAll(`[data-element="${CSS.escape(each.elementId || each)}"]`)) target.hidden = each.isVisible === undefined ? !target.hidden : !each.isVisible;
      return;
    }
    const inputs = action.associatedInputs === "none" ? [] : inputsFor(node);
    if (!complete(inputs) || node.classList.contains("busy")) return;
    node.classList.add("busy");
    await press(action, Object.fromEntries(inputs.map((each) => [each.id, each.read()])));
    node.classList.remove("busy");
  };
  const root = body(card, { run, isOld, entities: card.msteams?.entities || [] });
  root.classList.add("ac-root");
  return root;
}

/** What somebody has begun to fill in, to be put into the same card drawn anew. */
export function kept(node) {
  const values = new Map();
  for (const box of node.querySelectorAll(".ac-input")) if (box.input.field.value !== undefined) values.set(box.input.id, [box.input.field.value, box.input.field.checked]);
  return { values, open: [...node.querySelectorAll('[aria-expanded="true"][data-show]')].map((button) => button.dataset.show), focus: node.contains(document.activeElement) ? document.activeElement.closest(".ac-input")?.input.id : null };
}

export function restore(node, { values, open, focus }) {
  for (const button of node.querySelectorAll("[data-show]")) if (open.includes(button.dataset.show)) button.click();
  for (const box of node.querySelectorAll(".ac-input")) {
    const found = values.get(box.input.id);
    if (found) { [box.input.field.value, box.input.field.checked] = found; }
    if (focus === box.input.id) box.input.field.focus();
  }
}
