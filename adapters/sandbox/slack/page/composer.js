// The box one types in: Enter sends, "/" starts a command, "@" completes a name, files go along.

import { h, icon, iconButton, openMenu } from "./dom.js";
import { act, store } from "./store.js";
import { report } from "./messages.js";

const drafts = new Map();
const MAX_ROWS_PX = 220;

/** Make a composer. `place()` says where it writes: {channel, threadTs, label}. */
export function makeComposer(place, { withBroadcast = false } = {}) {
  let chosen = [];
  const area = h("textarea", { rows: 1, class: "composer-text" });
  const suggestions = h("ul", { class: "suggestions", role: "listbox", hidden: true, id: `suggestions-${withBroadcast ? "thread" : "channel"}` });
  area.setAttribute("aria-controls", suggestions.id);
  const chips = h("div", { class: "chips" });
  const picker = h("input", { type: "file", hidden: true, multiple: true, "aria-label": "Choose files" });
  const broadcast = h("input", { type: "checkbox" });
  const send = h("button", { type: "submit", class: "icon-button send", "aria-label": "Send" }, icon("send"));
  const key = () => `${store.me}:${place().channel}:${place().threadTs || ""}`;

  const fit = () => { area.style.height = "auto"; area.style.height = `${Math.min(area.scrollHeight, MAX_ROWS_PX)}px`; send.disabled = !area.value.trim() && !chosen.length; };
  const showChips = () => chips.replaceChildren(...chosen.map((file) => h("span", { class: "chip", text: file.name },
    h("button", { type: "button", "aria-label": `Remove ${file.name}`, text: "×", on: { click: () => { chosen = chosen.filter((each) => each !== file); showChips(); fit(); } } }))));

  async function submit() {
    const text = area.value.trim();
    if (!text && !chosen.length) return;
    const { channel, threadTs } = place();
    const files = chosen;
    area.value = "";
    chosen = [];
    drafts.delete(key());
    showChips();
    suggest();
    fit();
    const answer = await deliver({ channel, threadTs, text, files });
    if (answer.ok === false && !area.value) { area.value = text; fit(); }
    broadcast.checked = false;
  }

  async function deliver({ channel, threadTs, text, files }) {
    const command = text.match(/^(\/[a-z0-9_-]+)(?:\s+([\s\S]*))?$/i);
    if (command && !files.length) return report(await act("command", { channel, thread_ts: threadTs, command: command[1], text: command[2] || "" }));
    if (!files.length) return report(await act("message", { channel, thread_ts: threadTs, text, broadcast: broadcast.checked }));
    let answer = {};
    for (const [index, file] of files.entries()) {
      const content = await base64(file);
      answer = report(await act("upload", { channel, thread_ts: threadTs, filename: file.name, mimetype: file.type, content_base64: content, text: index ? "" : text }));
    }
    return answer;
  }

  function candidates() {
    const before = area.value.slice(0, area.selectionStart);
    const command = before.match(/^\/[\w-]*$/);
    if (command) return { start: 0, options: (store.app.commands || []).filter((c) => c.command.startsWith(command[0])).map((c) => ({ insert: `${c.command} `, label: c.command, hint: `${c.usage_hint || ""} ${c.description || ""}` })) };
    const mention = before.match(/(?:^|\s)@([\w.-]*)$/);
    if (!mention) return { start: 0, options: [] };
    const people = [...store.people.values()].filter((p) => !p.deleted).map((p) => ({ insert: `@${p.name} `, label: `@${p.name}`, hint: p.real_name }));
    const groups = [...store.groups.values()].map((g) => ({ insert: `@${g.handle} `, label: `@${g.handle}`, hint: "group" }));
    const wanted = mention[1].toLowerCase();
    return { start: before.length - mention[1].length - 1, options: [...people, ...groups].filter((o) => o.label.slice(1).startsWith(wanted) || o.hint.toLowerCase().includes(wanted)).slice(0, 6) };
  }

  let marked = 0;
  let current = { start: 0, options: [] };
  function suggest() {
    current = candidates();
    marked = 0;
    drawSuggestions();
  }
  function drawSuggestions() {
    suggestions.hidden = !current.options.length;
    suggestions.replaceChildren(...current.options.map((option, index) => h("li", {
      role: "option", "aria-selected": String(index === marked), on: { pointerdown: (event) => { event.preventDefault(); complete(option); } },
    }, h("strong", { text: option.label }), h("span", { class: "hint", text: ` ${option.hint}` }))));
  }
  function complete(option) {
    const after = area.value.slice(area.selectionStart);
    area.value = area.value.slice(0, current.start) + option.insert + after;
    area.selectionStart = area.selectionEnd = current.start + option.insert.length;
    suggest();
    fit();
  }

  area.addEventListener("input", () => { drafts.set(key(), area.value); fit(); suggest(); });
  area.addEventListener("blur", () => { suggestions.hidden = true; });
  area.addEventListener("keydown", (event) => {
    const open = !suggestions.hidden;
    if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      marked = (marked + (event.key === "ArrowDown" ? 1 : -1) + current.options.length) % current.options.length;
      drawSuggestions();
    } else if (open && (event.key === "Tab" || (event.key === "Enter" && !isComplete(current.options[marked])))) {
      event.preventDefault();
      complete(current.options[marked]);
    } else if (open && event.key === "Escape") {
      event.stopPropagation();
      suggestions.hidden = true;
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
  });
  const isComplete = (option) => area.value.slice(current.start, area.selectionStart) === option.insert.trim();
  picker.addEventListener("change", () => { chosen = [...chosen, ...picker.files]; picker.value = ""; showChips(); fit(); });

  const shortcuts = (event) => openMenu(event.currentTarget, (store.app.shortcuts || []).filter((each) => each.type === "global").map((shortcut) => ({
    label: shortcut.name, run: async () => report(await act("shortcut", { callback_id: shortcut.callback_id })),
  })));
  const tools = h("div", { class: "composer-tools" },
    iconButton("attach", "Attach files", () => picker.click()),
    withBroadcast ? null : iconButton("bolt", "Shortcuts", shortcuts, { "aria-haspopup": "menu", class: "icon-button shortcuts" }),
    withBroadcast ? h("label", { class: "broadcast hint" }, broadcast, h("span", { class: "broadcast-text" })) : null,
    h("span", { class: "grow" }), send);
  const form = h("form", { class: "composer", on: { submit: (event) => { event.preventDefault(); submit(); } } }, suggestions, chips, area, picker, tools);

  return {
    element: form,
    focus: () => area.focus(),
    isBusy: () => Boolean(area.value.trim()) || document.activeElement === area,
    refresh() {
      const { label, isMember, channelName } = place();
      area.setAttribute("aria-label", label);
      area.placeholder = isMember ? label : "You are not a member of this channel";
      area.disabled = !isMember;
      const bolt = form.querySelector(".shortcuts");
      if (bolt) bolt.hidden = !(store.app.shortcuts || []).some((each) => each.type === "global");
      const words = form.querySelector(".broadcast-text");
      if (words) words.textContent = `Also send to #${channelName}`;
      const draft = drafts.get(key()) || "";
      if (area.dataset.key !== key()) { area.dataset.key = key(); area.value = draft; chosen = []; showChips(); }
      fit();
    },
  };
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",")[1] || "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
