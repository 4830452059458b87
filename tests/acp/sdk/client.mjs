// A client that does the steps it is given, over its standard streams, and says on standard error what came of them.
// Usage: node client.mjs FOLDER-OF-THE-SDK '[["initialize", {...}], ["new", "/cwd"], ["prompt", "hi"], ...]' '{...}'
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const [folder, steps, options] = [process.argv[2], JSON.parse(process.argv[3]), JSON.parse(process.argv[4] ?? "{}")];
const entry = createRequire(`${folder}/package.json`).resolve("@agentclientprotocol/sdk");
const acp = await import(pathToFileURL(entry).href);

const said = [];
const files = new Map(Object.entries(options.files ?? {}));
const answers = [...(options.answers ?? [])];
const terminals = new Map();
let session = "";
let onUpdate = () => {};

const permission = async ({ params }) => {
  said.push(["permission", params.toolCall.title, params.options.map((option) => option.kind)]);
  const kind = answers.shift();
  if (kind === undefined) return await new Promise(() => {}); // the person thinks
  const option = params.options.find((option) => option.kind === kind);
  return { outcome: option ? { outcome: "selected", optionId: option.optionId } : { outcome: "cancelled" } };
};

const create = async ({ params }) => {
  const child = spawn(params.command, params.args, { cwd: params.cwd });
  const terminal = { output: "", child };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (terminal.output += data));
  terminal.ended = new Promise((resolve) => child.on("close", (exitCode, signal) => resolve({ exitCode, signal })));
  const terminalId = `terminal-${terminals.size + 1}`;
  terminals.set(terminalId, terminal);
  said.push(["terminal", params.args.at(-1)]);
  return { terminalId };
};

const app = acp
  .client({ name: "a client for tests" })
  .onRequest(acp.methods.client.session.requestPermission, permission)
  .onNotification(acp.methods.client.session.update, ({ params }) => {
    said.push(["update", params.update]);
    onUpdate(params.update);
  })
  .onRequest(acp.methods.client.fs.readTextFile, ({ params }) => {
    said.push(["read", params.path]);
    if (!files.has(params.path)) throw acp.RequestError.resourceNotFound(params.path);
    return { content: files.get(params.path) };
  })
  .onRequest(acp.methods.client.fs.writeTextFile, ({ params }) => {
    said.push(["write", params.path, params.content]);
    files.set(params.path, params.content);
    return {};
  })
  .onRequest(acp.methods.client.terminal.create, create)
  .onRequest(acp.methods.client.terminal.waitForExit, ({ params }) => terminals.get(params.terminalId).ended)
  .onRequest(acp.methods.client.terminal.output, ({ params }) => ({
    output: terminals.get(params.terminalId).output,
    truncated: false,
  }))
  .onRequest(acp.methods.client.terminal.kill, ({ params }) => {
    said.push(["kill", params.terminalId]);
    terminals.get(params.terminalId).child.kill();
    return {};
  })
  .onRequest(acp.methods.client.terminal.release, ({ params }) => {
    said.push(["release", params.terminalId]);
    return {};
  });

const tell = () => process.stderr.write(JSON.stringify(said) + "\n");

const until = (condition) =>
  new Promise((resolve) => (onUpdate = (update) => condition(update) && resolve()));

const isRunning = (update) => update.sessionUpdate === "tool_call_update" && update.status === "in_progress";

async function step(agent, [what, ...given]) {
  const { agent: methods } = acp.methods;
  const prompt = (text) =>
    agent.request(methods.session.prompt, { sessionId: session, prompt: [{ type: "text", text }] });
  switch (what) {
    case "initialize":
      return await agent.request(methods.initialize, { protocolVersion: acp.PROTOCOL_VERSION, clientCapabilities: given[0] });
    case "new":
      const made = await agent.request(methods.session.new, { cwd: given[0], mcpServers: [] });
      session = made.sessionId;
      return made;
    case "prompt":
      return await prompt(given[0]);
    case "cancel": {
      const running = until(isRunning);
      const answer = prompt(given[0]);
      await running;
      await agent.notify(methods.session.cancel, { sessionId: session });
      return await answer;
    }
    case "leave": {
      const running = until(isRunning);
      prompt(given[0]).catch(() => {});
      await running;
      tell();
      process.exit(0);
    }
    default:
      return await agent.request(what, { sessionId: session, ...given[0] });
  }
}

await app.connectWith(acp.ndJsonStream(Writable.toWeb(process.stdout), Readable.toWeb(process.stdin)), async (agent) => {
  for (const one of steps) {
    try {
      said.push(["answer", await step(agent, one)]);
    } catch (error) {
      said.push(["error", error.code ?? 0, error.message]);
    }
  }
});
tell();
process.exit(0);
