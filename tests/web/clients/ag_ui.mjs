// The official client of AG-UI, through all that a person does. Prints one line of JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, base] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const { HttpAgent } = await import(pathToFileURL(require.resolve("@ag-ui/client")));

const seen = {};
const post = (path) =>
  fetch(`${base}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });

function started(threadId) {
  const agent = new HttpAgent({ url: `${base}/ag-ui`, threadId });
  agent.runs = [];
  agent.subscribe({
    onRunStartedEvent: () => void agent.runs.push([]),
    onEvent: ({ event }) => void agent.runs.at(-1)?.push(event),
  });
  return agent;
}

const say = (agent, id, text, more = {}) => {
  agent.addMessage({ id, role: "user", content: text });
  return agent.runAgent(more);
};

const kept = (agent) => ({
  runs: agent.runs.map((run) => run.map(({ type }) => type)),
  messages: agent.messages,
  outcome: agent.runs.at(-1).at(-1).outcome,
  failure: agent.runs.at(-1).at(-1).message,
  pending: agent.pendingInterrupts,
});

async function answered(name, payload) {
  const agent = started(name);
  await say(agent, `${name}-u1`, "Go.");
  const first = kept(agent);
  const resume = agent.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: "resolved", payload }));
  await agent.runAgent({ resume });
  seen[name] = { first, last: kept(agent) };
}

const hasText = (agent, text) =>
  new Promise((resolve) => {
    const look = () => agent.messages.some((m) => m.role === "assistant" && m.content?.includes(text)) && resolve();
    agent.subscribe({ onMessagesChanged: look });
  });

const plain = started("plain");
await say(plain, "plain-u1", "Hello.");
await say(plain, "plain-u2", "Again.");
seen.plain = kept(plain);

await answered("approve", { approved: true });
await answered("deny", { approved: false, reason: "not now" });
await answered("inner", { approved: true });

// A client that leaves does not end the run; it comes back, and has nothing twice.
const back = started("resume");
const half = hasText(back, "first");
const left = say(back, "resume-u1", "Go.").catch(() => {});
await half;
back.abortRun();
await left;
const before = kept(back);
const came = new Promise((resolve) => back.subscribe({ onMessagesSnapshotEvent: () => void resolve() }));
const again = back.runAgent();
await came;
await post("/release/resume");
await again;
seen.resume = { before, after: kept(back) };

const stopped = started("stop");
const begun = hasText(stopped, "first");
const run = say(stopped, "stop-u1", "Go.");
await begun;
await post("/ag-ui/stop/stop");
await run;
seen.stop = kept(stopped);

const failed = started("error");
await say(failed, "error-u1", "Go.").catch(() => {});
seen.error = kept(failed);

console.log(JSON.stringify(seen));
