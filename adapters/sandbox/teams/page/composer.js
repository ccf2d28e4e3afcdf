// The box one types in: Enter sends, "@" picks whom to mention, pictures are pasted, files go along.

import { h, icon, iconButton } from "./dom.js";
import { act, store } from "./store.js";
import { report } from "./messages.js";

const drafts = new Map();

/** Make a composer. `place()` says where it writes: {channel, root, label, isOpen}. */
export function makeComposer(place, name) {
  let chosen = [], marked = 0, current = { start: 0, options: [] };
  const area = h("textarea", { rows: 1, class: "composer-text" });
  const suggestions = h("ul", { class: "suggestions", role: "listbox", hidden: true, id: `suggestions-${name}`, "aria-label": "People" });
  area.setAttribute("aria-controls", suggestions.id);
  const chips = h("div", { class: "chips" });
  const picker = h("input", { type: "file", hidden: true, multiple: true, "aria-label": "Choose files" });
  const send = h("button", { type: "submit", class: "icon-button send", "aria-label": "Send", title: "Send" }, icon("send"));
  const key = () => `${store.me}:${place().channel}:${place().root || ""}`;

  const fit = () => { area.style.height = "auto"; area.style.height = `${Math.min(area.scrollHeight, 200)}px`; send.disabled = !area.value.trim() && !chosen.length; };
  const showChips = () => chips.replaceChildren(...chosen.map((file) => h("span", { class: "chip", text: file.name },
    h("button", { type: "button", "aria-label": `Remove ${file.name}`, text: "×", on: { click: () => { chosen = chosen.filter((each) => each !== file); showChips(); fit(); } } }))));

  async function submit() {
    const text = area.value.trim(), sent = chosen;
    if (!text && !sent.length) return;
    const { channel, root } = place();
    area.value = "";
    chosen = [];
    drafts.delete(key());
    showChips();
    suggest();
    fit();
    const answer = await deliver({ channel, root: root || undefined, text, sent });
    if (answer.ok === false && !area.value) { area.value = text; fit(); }
  }

  async function deliver({ channel, root, text, sent }) {
    const slash = store.rules.slash && text.match(/^\/(\w[\s\S]*)$/);
    if (slash && !sent.length) return report(await act("targeted", { channel, root, text: slash[1] }));
    if (!sent.length) return report(await act("message", { channel, root, text }));
    let answer = {};
    for (const [index, file] of sent.entries()) {
      const kind = /^image\/(png|jpeg|gif)$/.test(file.type) ? "image" : "file";
      answer = report(await act(kind, { channel, root, text: index ? "" : text, filename: file.name, content_base64: await base64(file) }));
    }
    return answer;
  }

  function candidates() {
    const before = area.value.slice(0, area.selectionStart);
    const found = before.match(/(?:^|\s)@([\p{L}\p{N} .-]*)$/u);
    if (!found) return { start: 0, options: [] };
    const wanted = found[1].toLowerCase();
    const people = [store.bot, ...store.people.values()].filter((each) => (each.name.toLowerCase().startsWith(wanted) || each.name.toLowerCase().includes(` ${wanted}`)) && each.name.toLowerCase() !== wanted);
    return { start: before.length - found[1].length - 1, options: people.slice(0, 6).map((each) => ({ insert: `@${each.name} `, label: each.name, hint: each === store.bot ? "App" : each.title || each.email })) };
  }
  function suggest() {
    current = candidates();
    marked = 0;
    drawSuggestions();
  }
  function drawSuggestions() {
    suggestions.hidden = !current.options.length;
    suggestions.replaceChildren(...current.options.map((option, index) => h("li", {
      role: "option", "aria-selected": String(index === marked), on: { pointerdown: (event) => { event.preventDefault(); complete(option); } },
    }, h("strong", { text: option.label }), h("span", { class: "hint", text: option.hint }))));
  }
  function complete(option) {
    const after = area.value.slice(area.selectionStart);
    area.value = area.value.slice(0, current.start) + option.insert + after;
    area.selectionStart = area.selectionEnd = current.start + option.insert.length;
    drafts.set(key(), area.value);
    suggest();
    fit();
  }

  area.addEventListener("input", () => { drafts.set(key(), area.value); fit(); suggest(); });
  area.addEventListener("blur", () => { suggestions.hidden = true; });
  area.addEventListener("paste", (event) => { if (event.clipboardData.files.length) { event.preventDefault(); chosen = [...chosen, ...event.clipboardData.files]; showChips(); fit(); } });
  area.addEventListener("keydown", (event) => {
    const open = !suggestions.hidden;
    if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      marked = (marked + (event.key === "ArrowDown" ? 1 : -1) + current.options.length) % current.options.length;
      drawSuggestions();
    } else if (open && (event.key === "Tab" || event.key === "Enter")) {
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
  picker.addEventListener("change", () => { chosen = [...chosen, ...picker.files]; picker.value = ""; showChips(); fit(); });

  const tools = h("div", { class: "composer-tools" }, iconButton("attach", "Attach files", () => picker.click()), send);
  const form = h("form", { class: "composer", on: { submit: (event) => { event.preventDefault(); submit(); } } }, suggestions, chips, h("div", { class: "composer-row" }, area, tools), picker);

  return {
    element: form,
    focus: () => area.focus(),
    isBusy: () => Boolean(area.value.trim()) || document.activeElement === area,
    refresh() {
      const { label, isOpen } = place();
      area.setAttribute("aria-label", label);
      area.placeholder = isOpen ? label : "Nobody can write here now";
      area.disabled = !isOpen;
      if (area.dataset.key !== key()) { area.dataset.key = key(); area.value = drafts.get(key()) || ""; chosen = []; showChips(); }
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
