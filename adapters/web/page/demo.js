// The frame around the two halves: it shows who owns the conversation, as the store has it, a moment after each commit.
import { makeFaults } from "./faults.js";
import { followTo, makeTabs, onShow } from "./tabs.js";

const $ = (id) => document.getElementById(id);
const config = await (await fetch("config")).json();
const chat = $("chat");
let events, lastStretch;

onShow((name) => {
  const desk = config.desks.find((each) => each.name === name);
  $("desk-hint").textContent = desk.url ? `a local ${desk.label}, no account · ${desk.places.join(", ")}` : "not on this machine";
  $("desk-hint").title = $("desk-hint").textContent;
});
makeFaults(config.desks);
makeTabs(config.desks);
$("widget-name").textContent = config.web_chat ? "Bot Framework Web Chat, unmodified" : "a plain page of ours";
$("widget-name").title = config.why;

function show(state) {
  const words = {
    agent: "The AI agent answers",
    waiting: "Waiting for a person",
    human: `${state.operator || "A person"} answers`,
    closed: "Closed",
  };
  $("owner").dataset.state = state.state;
  const text = words[state.state] ?? "No conversation yet";
  // Said again, it would be read out again.
  if ($("owner-text").textContent !== text) $("owner-text").textContent = text;
  $("epoch").textContent = state.epoch ?? "–";
  $("ticket").textContent = state.ticket ?? "none";
  $("queue").textContent = state.queue ?? "none";
  $("suppressed-count").textContent = state.suppressed.length;
  $("suppressed").setAttribute("aria-label", `Kept from the customer: ${state.suppressed.length}`);
  $("suppressed").disabled = state.suppressed.length === 0;
  $("kept-list").replaceChildren(
    ...state.suppressed.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
  );
  if (state.suppressed.length === 0) unfold("suppressed", "kept", false);
  const stretch = state.desk && `${state.ticket} ${state.desk}`;
  if (stretch && stretch !== lastStretch) followTo(state.desk);
  lastStretch = stretch;
}

function follow(conversation) {
  events?.close();
  events = new EventSource(`state?conversation=${encodeURIComponent(conversation)}`);
  events.onmessage = (message) => show(JSON.parse(message.data));
}

function unfold(button, drawer, open) {
  $(button).setAttribute("aria-expanded", String(open));
  $(drawer).hidden = !open;
}

for (const [button, drawer] of [["suppressed", "kept"], ["help", "guide"]]) {
  $(button).addEventListener("click", () => unfold(button, drawer, $(drawer).hidden));
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  unfold("suppressed", "kept", false);
  unfold("help", "guide", false);
});
for (const { text, to } of config.says) {
  const chip = Object.assign(document.createElement("button"), { type: "button", className: "chip", textContent: text });
  const where = Object.assign(document.createElement("span"), { className: "to", textContent: to ? `→ ${to}` : "the AI answers" });
  chip.append(" ", where);
  chip.addEventListener("click", () => chat.contentWindow.postMessage({ say: text }, location.origin));
  $("says").append(chip);
}
$("again").addEventListener("click", () => chat.contentWindow.postMessage({ again: true }, location.origin));
addEventListener("message", (event) => {
  if (event.source !== chat.contentWindow || event.origin !== location.origin) return;
  if (typeof event.data?.conversation === "string") follow(event.data.conversation);
});
chat.contentWindow.postMessage({ who: true }, location.origin);
