// A small Direct Line page for machines that cannot fetch Web Chat. It shows text as text and nothing else.
const WAIT_MS = 1500;

export async function plainChat({ root, domain, token, conversationId, why }) {
  const make = (tag, props = {}) => Object.assign(document.createElement(tag), props);
  const note = make("p", { className: "plain-note", textContent: `A plain page of ours: ${why}` });
  const lines = make("ol", { className: "plain-lines", tabIndex: 0 });
  lines.setAttribute("role", "log");
  lines.setAttribute("aria-label", "Chat");
  const input = make("input", { type: "text", placeholder: "Type your message", autocomplete: "off", maxLength: 20000 });
  input.setAttribute("aria-label", "Your message");
  const form = make("form", { className: "plain-form" });
  form.append(input, make("button", { type: "submit", textContent: "Send" }));
  const page = make("div", { className: "plain" });
  page.append(note, lines, form);
  root.replaceChildren(page);

  const shown = new Map();
  let watermark = "";

  function show(activity) {
    const data = activity.channelData ?? {};
    const stream = activity.entities?.find((entity) => entity.type === "streaminfo") ?? data;
    const growing = activity.type === "typing" && typeof activity.text === "string";
    if (activity.type !== "message" && !growing) return;
    const key = stream.streamId ?? activity.id;
    const text = (activity.text ?? "").replaceAll("**", "");
    const files = (activity.attachments ?? []).map((file) => `📎 ${file.name ?? "file"}`).join("\n");
    let line = shown.get(key);
    if (!text && !files) {
      line?.remove();
      shown.delete(key);
      return;
    }
    if (!line) {
      line = make("li");
      shown.set(key, line);
      lines.append(line);
    }
    const mine = activity.from?.role === "user";
    line.className = `plain-line${mine ? " mine" : ""}${growing ? " growing" : ""}`;
    line.textContent = [text, files].filter(Boolean).join("\n");
    lines.scrollTop = lines.scrollHeight;
  }

  async function call(path, body) {
    const answer = await fetch(`${domain}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`the bridge answered ${answer.status}`);
    return answer.json();
  }

  function listen(address) {
    const socket = new WebSocket(address);
    socket.onmessage = (message) => {
      if (!message.data) return;
      const set = JSON.parse(message.data);
      watermark = set.watermark ?? watermark;
      for (const activity of set.activities ?? []) show(activity);
    };
    socket.onclose = () => setTimeout(reconnect, WAIT_MS);
  }

  async function reconnect() {
    try {
      listen((await call(`/conversations/${conversationId}?watermark=${encodeURIComponent(watermark)}`)).streamUrl);
    } catch {
      setTimeout(reconnect, WAIT_MS);
    }
  }

  async function say(text) {
    try {
      await call(`/conversations/${conversationId}/activities`, { type: "message", text, from: { role: "user" } });
      note.textContent = `A plain page of ours: ${why}`;
      return true;
    } catch (error) {
      note.textContent = `Not sent: ${error.message}. Try again.`;
      return false;
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (text && (await say(text))) input.value = "";
  });
  listen((await call("/conversations", {})).streamUrl);
  return say;
}
