// Block Kit as DOM. `use(element, block, value)` is called when somebody uses an interactive element.

import { h, link, safeUrl } from "./dom.js";
import { markdown, richText, textObject } from "./text.js";
import { store } from "./store.js";

export function renderBlocks(blocks, use) {
  return blocks.map((block) => render(block, use));
}

function render(block, use) {
  switch (block.type) {
    case "header": return h("h3", { class: "block-header" }, textObject(block.text));
    case "divider": return h("hr", { class: "block-divider" });
    case "context": return h("div", { class: "block-context" }, block.elements.map((e) => (e.type === "image" ? image(e, "context-image") : textObject(e))));
    case "section": return section(block, use);
    case "actions": return h("div", { class: "block-actions", role: "group" }, block.elements.map((e) => element(e, block, use)));
    case "rich_text": return richText(block);
    case "markdown": return markdown(block.text);
    case "image": return h("figure", { class: "block-image" }, block.title ? h("figcaption", {}, textObject(block.title)) : null, image(block, "wide-image"));
    case "input": return input(block, use);
    case "table": return table(block);
    default: return h("p", { class: "unsupported", text: `(${block.type} block)` });
  }
}

function image(object, className) {
  const own = object.slack_file?.url ? `${new URL(object.slack_file.url).pathname.slice(1)}?page=${store.pageKey}` : null;
  const src = own || safeUrl(object.image_url || "");
  return src ? h("img", { class: className, src, alt: object.alt_text, loading: "lazy" }) : h("span", { class: "unsupported", text: object.alt_text || "image" });
}

function section(block, use) {
  const body = h("div", { class: "section-body" });
  if (block.text) body.append(textObject(block.text));
  if (block.fields) body.append(h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "field" }, textObject(field)))));
  const accessory = block.accessory;
  if (!accessory) return h("div", { class: "block-section" }, body);
  return h("div", { class: "block-section with-accessory" }, body, accessory.type === "image" ? image(accessory, "accessory-image") : element(accessory, block, use));
}

function table(block) {
  const cell = (content) => h("td", {}, content?.type === "rich_text" ? richText(content) : content?.text ?? "");
  return h("div", { class: "table-scroll" }, h("table", {}, h("tbody", {}, (block.rows || []).map((row) => h("tr", {}, row.map(cell))))));
}

function input(block, use) {
  const id = `input-${block.block_id}`;
  const field = element(block.element, block, use, id);
  const isGroup = ["checkboxes", "radio_buttons"].includes(block.element.type);
  const label = h(isGroup ? "legend" : "label", { class: "input-label", ...(isGroup ? {} : { htmlFor: id }) }, textObject(block.label));
  if (block.optional) label.append(h("span", { class: "optional", text: " (optional)" }));
  const hint = block.hint ? h("p", { class: "hint" }, textObject(block.hint)) : null;
  const error = h("p", { class: "input-error", id: `${id}-error`, role: "alert", hidden: true });
  return h(isGroup ? "fieldset" : "div", { class: "block-input", dataset: { block: block.block_id } }, label, field, hint, error);
}

const SELECTS = {
  static_select: (e) => groupsOf(e), multi_static_select: (e) => groupsOf(e),
  users_select: () => people(), multi_users_select: () => people(),
  channels_select: () => rooms(), multi_channels_select: () => rooms(),
  conversations_select: () => rooms(), multi_conversations_select: () => rooms(),
};

const people = () => [{ options: [...store.people.values()].filter((p) => !p.is_bot && !p.deleted).map((p) => ({ value: p.id, label: p.real_name })) }];
const rooms = () => [{ options: [...store.channels.values()].map((c) => ({ value: c.id, label: `#${c.name}` })) }];

function groupsOf(e) {
  const read = (options) => options.map((option) => ({ value: option.value, label: option.text.text }));
  return e.option_groups ? e.option_groups.map((group) => ({ label: group.label.text, options: read(group.options) })) : [{ options: read(e.options || []) }];
}

/** One interactive element. Its current value is read back by `valueOf`. */
function element(e, block, use, id) {
  const isInput = block.type === "input";
  const data = { action: e.action_id || "", kind: e.type, block: block.block_id || "" };
  const changed = (event) => { if (!isInput || block.dispatch_action) use(e, block, valueOf(event.currentTarget), event.currentTarget); };
  if (e.type === "button") return button(e, block, use);
  if (e.type in SELECTS) return select(e, data, id, changed);
  if (e.type === "checkboxes" || e.type === "radio_buttons") return choices(e, data, changed);
  if (e.type === "overflow") return overflow(e, block, use);
  if (e.type === "plain_text_input" && e.multiline) {
    return h("textarea", { id, class: "field-input", rows: 4, dataset: data, value: e.initial_value || "", placeholder: e.placeholder?.text || "", maxLength: e.max_length ?? 3000 });
  }
  const type = { datepicker: "date", timepicker: "time", datetimepicker: "datetime-local", number_input: "number", email_text_input: "email", url_text_input: "url" }[e.type] || "text";
  const initial = e.initial_value ?? e.initial_date ?? e.initial_time ?? "";
  const field = h("input", { id, class: "field-input", type, dataset: data, value: initial, placeholder: e.placeholder?.text || "" });
  if (e.max_length) field.maxLength = e.max_length;
  if (type !== "text") field.addEventListener("change", changed);
  return field;
}

function button(e, block, use) {
  const node = h("button", {
    type: "button", class: `button ${e.style || ""}`, "aria-label": e.accessibility_label, dataset: { action: e.action_id || "" },
    on: { click: (event) => use(e, block, e.value, event.currentTarget) },
  }, textObject(e.text));
  if (!e.url) return node;
  const anchor = link(e.url, e.text.text);
  if (anchor.nodeType !== Node.ELEMENT_NODE) return node;
  anchor.className = `button ${e.style || ""}`;
  anchor.addEventListener("click", () => use(e, block, e.value, anchor));
  return anchor;
}

function select(e, data, id, changed) {
  const isMany = e.type.startsWith("multi_");
  const chosen = new Set([e.initial_option, ...(e.initial_options || [])].filter(Boolean).map((o) => o.value));
  for (const key of ["initial_user", "initial_channel", "initial_conversation"]) if (e[key]) chosen.add(e[key]);
  const option = (o) => h("option", { value: o.value, text: o.label, selected: chosen.has(o.value) });
  const node = h("select", { id, class: "field-input", dataset: data, multiple: isMany, "aria-label": id ? undefined : e.placeholder?.text || "Choose", on: { change: changed } });
  if (!isMany) node.append(h("option", { value: "", text: e.placeholder?.text || "Choose an option", selected: !chosen.size }));
  for (const group of SELECTS[e.type](e)) {
    const options = group.options.map(option);
    node.append(...(group.label ? [h("optgroup", { label: group.label }, options)] : options));
  }
  return node;
}

function choices(e, data, changed) {
  const chosen = new Set([e.initial_option, ...(e.initial_options || [])].filter(Boolean).map((o) => o.value));
  const type = e.type === "checkboxes" ? "checkbox" : "radio";
  const box = h("div", { class: "choices", dataset: data, on: { change: changed } });
  for (const o of e.options) {
    const field = h("input", { type, name: `${data.block}-${data.action}`, value: o.value, checked: chosen.has(o.value) });
    const words = h("span", {}, textObject(o.text), o.description ? h("span", { class: "hint" }, textObject(o.description)) : null);
    box.append(h("label", { class: "choice" }, field, words));
  }
  return box;
}

function overflow(e, block, use) {
  const node = h("select", { class: "field-input overflow", "aria-label": "More actions", dataset: { action: e.action_id } }, h("option", { value: "", text: "⋯" }),
    e.options.map((o) => h("option", { value: o.value, text: o.text.text })));
  node.addEventListener("change", () => { use(e, block, node.value, node); node.value = ""; });
  return node;
}

/** What somebody put into an element: a string, or a list where many may be chosen. */
export function valueOf(node) {
  const kind = node.dataset.kind;
  if (kind === "checkboxes") return [...node.querySelectorAll("input:checked")].map((each) => each.value);
  if (kind === "radio_buttons") return node.querySelector("input:checked")?.value ?? "";
  if (kind === "datetimepicker") return node.value ? Math.floor(new Date(node.value).getTime() / 1000) : "";
  return node.multiple ? [...node.selectedOptions].map((each) => each.value) : node.value;
}

/** Every value of a form of blocks, by block id and action id. */
export function valuesIn(container) {
  const values = {};
  for (const node of container.querySelectorAll("[data-kind]")) {
    if (node.dataset.kind === "overflow") continue;
    (values[node.dataset.block] ??= {})[node.dataset.action] = valueOf(node);
  }
  return values;
}

/** Put values back that somebody had typed before the form was drawn again. */
export function restore(container, values) {
  for (const node of container.querySelectorAll("[data-kind]")) {
    const value = values[node.dataset.block]?.[node.dataset.action];
    if (value === undefined) continue;
    if (["checkboxes", "radio_buttons"].includes(node.dataset.kind)) {
      for (const field of node.querySelectorAll("input")) field.checked = [value].flat().includes(field.value);
    } else if (node.multiple) {
      for (const option of node.options) option.selected = value.includes(option.value);
    } else if (node.dataset.kind !== "datetimepicker") node.value = value;
  }
}

