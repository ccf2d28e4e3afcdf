// What can be switched: how the tenant is set up, what goes wrong, and whether the app is there.

import { h } from "./dom.js";
import { act, addFault, clearFaults, setRules, store } from "./store.js";
import { report } from "./messages.js";

const RULES = [
  ["rsc", "The app hears every message", "Off: only messages that mention it (no RSC consent)"],
  ["graph", "Messages and files through Graph", ""],
  ["limits", "Limits of calls: 7 a second, 1,800 an hour", ""],
  ["retry_after", "429 says how long to wait", ""],
  ["redeliver", "What the app does not take comes again", ""],
  ["writes_blocked", "The app may not write", "403 MessageWritesBlocked"],
  ["old_client", "Clients without Action.Execute", ""],
  ["slash", "“/” sends to the app alone", "As slash commands do"],
];
const CHOICES = [
  ["secret", "Client secret", { valid: "valid", invalid: "wrong", expired: "expired", unknown_app: "app unknown" }],
  ["edit_events", "Edits and deletes", { all: "all are heard", mentioned: "only where mentioned", none: "none are heard" }],
];
const FAULTS = [
  ["Next post: 429", { target: "send", kind: "rate_limited", after_s: 3 }],
  ["Next post: 502, nothing posted", { target: "send", kind: "http_before", status: 502 }],
  ["Next post: posted, then cut off", { target: "send", kind: "drop_after" }],
  ["Next post: posted, then 504", { target: "send", kind: "http_after", status: 504 }],
  ["Next message arrives twice", { target: "events", kind: "duplicate" }],
  ["Next message arrives late", { target: "events", kind: "delay", after_s: 5 }],
  ["Next message is lost", { target: "events", kind: "lose" }],
  ["Outage until cleared", { target: "*", kind: "http_before", status: 503, times: -1 }],
];

const check = ([name, label, hint]) => h("label", { class: "switch" },
  h("input", { type: "checkbox", checked: store.rules[name], on: { change: async (event) => report(await setRules({ [name]: event.target.checked })) } }),
  h("span", {}, label, hint ? h("span", { class: "hint", text: hint }) : null));

const choose = ([name, label, options]) => h("label", { class: "switch-choice" }, h("span", { text: label }),
  h("select", { on: { change: async (event) => report(await setRules({ [name]: event.target.value })) } },
    Object.entries(options).map(([value, text]) => h("option", { value, text, selected: store.rules[name] === value }))));

const button = (text, run) => h("button", { type: "button", class: "button", text, on: { click: async () => report(await run()) } });

function faults() {
  const on = store.faults.map((fault) => h("li", { text: `${fault.target}: ${fault.kind.replace(/_/g, " ")}${fault.times < 0 ? "" : ` ×${fault.times}`}` }));
  return h("section", {}, h("h3", { text: "What goes wrong" }),
    h("div", { class: "switch-buttons" }, FAULTS.map(([label, fault]) => button(label, () => addFault(fault)))),
    on.length ? h("ul", { class: "faults" }, on) : h("p", { class: "hint", text: "Nothing is switched on." }),
    on.length ? button("Clear all", clearFaults) : null);
}

function team(channel) {
  const isIn = store.bot.is_installed;
  return h("section", {}, h("h3", { text: "The app and the team" }), h("div", { class: "switch-buttons" },
    button(isIn ? "Remove the app" : "Add the app", () => act(isIn ? "uninstall" : "install", isIn ? {} : { channel: channel.id })),
    button(store.team.is_archived ? "Unarchive the team" : "Archive the team", () => act(store.team.is_archived ? "unarchive_team" : "archive_team", {})),
    button(channel.is_deleted ? "Restore this channel" : "Delete this channel", () => act(channel.is_deleted ? "restore_channel" : "delete_channel", { channel: channel.id })),
    button("Change the signing keys", () => act("roll_keys", {}))));
}

/** Draw the panel anew if anything in it changed. */
export function drawSwitches(panel, channel) {
  const print = JSON.stringify([store.rules, store.faults, store.bot, store.team, channel.id, channel.is_deleted, store.app.endpoint]);
  if (panel.print === print) return;
  panel.print = print;
  panel.replaceChildren(h("h2", { text: "Switches" }),
    h("section", {}, h("h3", { text: "How the tenant is set up" }), RULES.map(check), CHOICES.map(choose)), faults(), team(channel),
    h("p", { class: "hint", text: store.app.endpoint ? `Activities go to ${store.app.endpoint}` : "No bot listens yet: tell its endpoint by PUT /sandbox/app." }));
}
