// A client of the official TypeScript SDK: it calls a tool, and prints what it saw as one JSON object.
// node client.mjs FOLDER-OF-PACKAGES '{"url"|"command", "args", "tool", "arguments", "allow"}'
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.argv[2] + "/");
const load = (name) => import(pathToFileURL(require.resolve(`@modelcontextprotocol/sdk/${name}`)));
const { Client } = await load("client/index.js");
const { StdioClientTransport } = await load("client/stdio.js");
const { StreamableHTTPClientTransport } = await load("client/streamableHttp.js");
const { ElicitRequestSchema } = await load("types.js");

const wanted = JSON.parse(process.argv[3]);
const seen = { asked: [], progress: [] };
const client = new Client(
  { name: "node", version: "1" },
  { capabilities: wanted.allow ? { elicitation: {} } : {} },
);
if (wanted.allow) {
  client.setRequestHandler(ElicitRequestSchema, async (request) => {
    seen.asked.push(request.params.message);
    return { action: "accept", content: { allow: wanted.allow } };
  });
}
const transport = wanted.url
  ? new StreamableHTTPClientTransport(new URL(wanted.url))
  : new StdioClientTransport({ command: wanted.command, args: wanted.args, env: process.env });
await client.connect(transport);
seen.tools = (await client.listTools()).tools.map((tool) => tool.name);
const onprogress = (progress) => seen.progress.push(progress.message);
for (const call of wanted.calls) {
  const result = await client.callTool(call, undefined, { onprogress });
  (seen.results ??= []).push({ text: result.content.map((one) => one.text).join(""), error: !!result.isError });
}
const stop = new AbortController();
if (wanted.aborted) {
  const call = client.callTool(wanted.aborted, undefined, { signal: stop.signal });
  setTimeout(() => stop.abort("enough"), 300);
  seen.aborted = await call.then(() => "no", () => "yes");
}
await client.close();
console.log(JSON.stringify(seen));
