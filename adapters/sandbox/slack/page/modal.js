// Modals of the app, and the small question that buttons with `confirm` ask first.

import { h, icon } from "./dom.js";
import { renderBlocks, restore, valuesIn } from "./blocks.js";
import { textObject } from "./text.js";
import { act, store } from "./store.js";

const dialog = document.getElementById("modal");
const question = document.getElementById("confirm");
let shown = null;

/** Ask before something is done. Resolves to whether the person agreed. */
export function confirmed(words) {
  return new Promise((resolve) => {
    const answer = (value) => { question.close(); resolve(value); };
    question.oncancel = () => resolve(false);
    question.replaceChildren(
      h("h2", { id: "confirm-title", class: "modal-title", text: words.title?.text || "Are you sure?" }),
      h("div", { class: "modal-body" }, textObject(words.text)),
      h("div", { class: "modal-foot" },
        h("button", { type: "button", class: "button", text: words.deny?.text || "Cancel", on: { click: () => answer(false) } }),
        h("button", { type: "button", class: `button ${words.style || "primary"}`, text: words.confirm?.text || "Yes", on: { click: () => answer(true) } })),
    );
    question.showModal();
    question.querySelector(".modal-foot .button:last-child").focus();
  });
}

/** Show the topmost modal of the person who acts, or none. */
export function showModal() {
  const mine = store.views.filter((each) => each.user === store.me);
  const top = mine[mine.length - 1];
  if (!top) {
    shown = null;
    if (dialog.open) dialog.close();
    return;
  }
  const print = JSON.stringify(top);
  if (shown?.print === print) return;
  const isNew = shown?.id !== top.view.id;
  const kept = isNew ? {} : valuesIn(dialog), place = isNew ? null : placeIn(dialog);
  draw(top, mine.length > 1);
  restore(dialog, kept);
  if (place) goTo(dialog, place);
  shown = { id: top.view.id, print };
  if (!dialog.open) dialog.showModal();
  const firstError = dialog.querySelector(".block-input.wrong .field-input");
  if (firstError) firstError.focus();
  else if (isNew) (dialog.querySelector(".modal-body .field-input, .modal-body input, .modal-body button") || dialog.querySelector("button")).focus();
}

/** Where somebody is in a form: how far down, and at which element. */
function placeIn(container) {
  const at = document.activeElement?.closest("[data-action], .choice input");
  const box = at?.closest("[data-action]");
  return { top: container.querySelector(".modal-body")?.scrollTop ?? 0, action: container.contains(box) ? box.dataset.action : null };
}

function goTo(container, { top, action }) {
  const there = action && [...container.querySelectorAll("[data-action]")].find((each) => each.dataset.action === action);
  if (there) (there.matches("button, input, select, textarea") ? there : there.querySelector("input"))?.focus({ preventScroll: true });
  const body = container.querySelector(".modal-body");
  if (body) body.scrollTop = top;
}

function draw({ view, errors }, isPushed) {
  const close = () => act("close_view", { view_id: view.id });
  const use = async (element, block, value, node) => {
    if (element.confirm && !(await confirmed(element.confirm))) return;
    node.classList.add("busy");
    await act("click", { view_id: view.id, action_id: element.action_id, block_id: block.block_id, value, values: valuesIn(dialog) });
    node.classList.remove("busy");
  };
  const submit = async (event) => {
    event.preventDefault();
    const button = form.querySelector("button.submit");
    button.disabled = true;
    await act("submit", { view_id: view.id, values: valuesIn(dialog) });
    button.disabled = false;
  };
  const form = h("form", { class: "modal-form", noValidate: true, on: { submit } },
    h("header", { class: "modal-head" },
      h("h2", { id: "modal-title", class: "modal-title", text: view.title.text }),
      h("button", { type: "button", class: "icon-button", "aria-label": "Close", on: { click: close } }, icon("close"))),
    h("div", { class: "modal-body" }, renderBlocks(view.blocks, use)));
  const foot = h("div", { class: "modal-foot" });
  foot.append(h("button", { type: "button", class: "button", text: view.close?.text || (isPushed ? "Back" : "Cancel"), on: { click: close } }));
  if (view.submit) foot.append(h("button", { type: "submit", class: "button primary submit", text: view.submit.text }));
  form.append(foot);
  dialog.replaceChildren(form);
  dialog.oncancel = (event) => { event.preventDefault(); close(); };
  showErrors(errors, form);
}

function showErrors(errors, form) {
  for (const [blockId, complaint] of Object.entries(errors)) {
    const block = [...form.querySelectorAll(".block-input")].find((each) => each.dataset.block === blockId);
    if (!block) { form.querySelector(".modal-body").prepend(h("p", { class: "banner-error", role: "alert", text: complaint })); continue; }
    const error = block.querySelector(".input-error");
    error.textContent = complaint;
    error.hidden = false;
    block.classList.add("wrong");
    const field = block.querySelector(".field-input, input");
    field?.setAttribute("aria-invalid", "true");
    field?.setAttribute("aria-describedby", error.id);
  }
}
