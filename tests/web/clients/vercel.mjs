// The chat of the Vercel AI SDK, without a framework around it, through all that a person does. Prints one line of JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, base, version] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const sdk = await import(pathToFileURL(require.resolve(`ai${version}`)));

const seen = { version: require(`ai${version}/package.json`).version };
const api = `${base}/vercel?sdk=${version}`;
const post = (path) =>
  fetch(`${base}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });

class State {
  status = "ready";
  error = undefined;
  #messages = [];
  get messages() {
    return this.#messages;
  }
  set messages(messages) {
    this.#messages = messages;
  }
  pushMessage = (message) => void (this.#messages = [...this.#messages, message]);
  popMessage = () => void (this.#messages = this.#messages.slice(0, -1));
  replaceMessage = (index, message) => void (this.#messages = this.#messages.with(index, structuredClone(message)));
  snapshot = (thing) => structuredClone(thing);
}

class Chat extends sdk.AbstractChat {
  constructor(id) {
    super({
      id,
      state: new State(),
      transport: new sdk.DefaultChatTransport({ api }),
      sendAutomaticallyWhen: sdk.lastAssistantMessageIsCompleteWithApprovalResponses,
    });
  }
}

const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};
const text = (chat) =>
  (chat.lastMessage?.parts ?? []).filter(({ type }) => type === "text").map((part) => part.text).join("|");
const asked = (chat) => (chat.lastMessage?.parts ?? []).filter(({ state }) => state === "approval-requested");
const kept = (chat) => ({ messages: chat.messages, status: chat.status, error: chat.error?.message });

async function answered(name, approved, reason) {
  const chat = new Chat(name);
  await chat.sendMessage({ text: "Go." });
  const first = structuredClone(kept(chat));
  for (const part of asked(chat)) await chat.addToolApprovalResponse({ id: part.approval.id, approved, reason });
  await until(() => text(chat).includes("Done.") && chat.status === "ready");
  seen[name] = { first, last: kept(chat) };
}

const plain = new Chat("plain");
await plain.sendMessage({ text: "Hello." });
await plain.sendMessage({ text: "Again." });
seen.plain = kept(plain);

await answered("approve", true);
await answered("deny", false, "not now");
await answered("inner", true);

// A page that leaves does not end the run; it comes back, and has nothing twice.
const back = new Chat("resume");
const left = back.sendMessage({ text: "Go." });
await until(() => text(back).includes("first"));
await back.stop();
await left;
const before = text(back);
const other = new Chat("resume");
const both = [back.resumeStream(), other.resumeStream()];
await until(() => text(other).includes("first"));
await post("/release/resume");
await Promise.all(both);
await back.resumeStream();
seen.resume = { before, after: kept(back), other: kept(other) };

const stopped = new Chat("stop");
const run = stopped.sendMessage({ text: "Go." });
await until(() => text(stopped).includes("first"));
await post("/vercel/stop/stop");
await run;
const idle = await fetch(`${base}/vercel/stop/stream`);
seen.stop = { ...kept(stopped), idle: idle.status };

const steered = new Chat("steer");
const going = steered.sendMessage({ text: "Go." });
await until(() => text(steered).includes("first"));
const second = new Chat("steer");
const steering = second.sendMessage({ text: "Faster." });
while ((await fetch(`${base}/queued/steer`)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 5));
await post("/release/steer");
await Promise.all([going, steering]);
seen.steer = { one: kept(steered), two: kept(second) };

const failed = new Chat("error");
await failed.sendMessage({ text: "Go." });
seen.error = kept(failed);

console.log(JSON.stringify(seen));
