// The dialogs that the bot opens: for a message action, or for a button that asks for one.

import { h, icon } from "./dom.js";
import { renderCard } from "./cards.js";
import { act, store } from "./store.js";
import { report } from "./messages.js";

const dialog = document.getElementById("dialog");
let shown = "";

/** Show the newest dialog of the person who acts, or none. */
export function showDialog() {
  const mine = store.dialogs.filter((each) => each.user === store.me);
  const top = mine[mine.length - 1];
  if (!top) {
    shown = "";
    if (dialog.open) dialog.close();
    return;
  }
  const print = JSON.stringify(top);
  if (shown === print) return;
  shown = print;
  const close = () => act("close_dialog", { dialog: top.id });
  const press = async (action, inputs) => report(await act("submit_dialog", { dialog: top.id, title: action.title, inputs }));
  dialog.replaceChildren(
    h("header", { class: "dialog-head" }, h("h2", { id: "dialog-title", text: top.title || store.bot.name }),
      h("button", { type: "button", class: "icon-button", "aria-label": "Close", on: { click: close } }, icon("close"))),
    h("div", { class: "dialog-body" }, renderCard(top.card, press)));
  dialog.oncancel = (event) => { event.preventDefault(); close(); };
  if (!dialog.open) dialog.showModal();
  (dialog.querySelector(".ac-field, .ac-button") || dialog.querySelector("button")).focus();
}
