// The modules of the page that need no document. `STREAMS` names a file with the events of real runs, made by
// test_page_fold.py.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const modules = new URL("../../src/tether/web/page/static/", import.meta.url);
const load = (name) => import(new URL(name, modules));
const { EMPTY, fold, fromSnapshot } = await load("state.js");
const { abridged, difference } = await load("diff.js");
const { isEdit, subject, visible } = await load("arguments.js");

const { readRecording, Walk } = await load("recording.js");

const streams = JSON.parse(readFileSync(process.env.STREAMS, "utf8"));

const deepFrozen = (value) => {
  if (value && typeof value === "object" && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFrozen);
  }
  return value;
};

const viewOf = (events) => events.reduce((view, event) => deepFrozen(fold(view, deepFrozen(event))), EMPTY);

const snapshotOf = (messages, state = "idle") =>
  fromSnapshot({ messages: messages.map((message) => ({ entry: message.id, message })), waiting: [], state });

/** What both ways to a view have in common: a snapshot knows nothing of times, progress and children. */
const lasting = (view) =>
  view.items.map((item) => ({
    ...item,
    key: null,
    blocks: item.blocks?.map((block) =>
      block.type === "call"
        ? { id: block.id, name: block.name, arguments: block.arguments, state: block.state, result: block.result }
        : block,
    ),
  }));

for (const { said, events, messages } of streams) {
  test(`${said}: events and messages lead to the same view`, () => {
    const view = viewOf(events);
    assert.deepEqual(lasting(view), lasting(snapshotOf(messages)));
    assert.equal(view.running, false);
    assert.deepEqual(view.waiting, []);
  });

  test(`${said}: a stream that begins anywhere ends with the whole last reply`, () => {
    const whole = lasting(viewOf(events)).at(-1);
    for (let start = 0; start < events.length - 3; start += Math.max(1, Math.floor(events.length / 40))) {
      assert.deepEqual(lasting(viewOf(events.slice(start))).at(-1)?.blocks, whole.blocks);
    }
  });

  test(`${said}: what an event does not concern stays the same object`, () => {
    let view = EMPTY;
    for (const event of events) {
      const next = fold(view, event);
      const changed = next.items.filter((item, index) => item !== view.items[index]);
      assert.ok(event.type === "agent_end" || changed.length <= 1, event.type);
      view = next;
    }
  });
}

test("a question is open until it is answered", () => {
  const { events } = streams.find(({ said }) => said === "run ls");
  const asked = events.findIndex(({ type }) => type === "approval_requested");
  const open = viewOf(events.slice(0, asked + 1));
  assert.deepEqual(
    open.waiting.map(({ name }) => name),
    ["run_command"],
  );
  assert.equal(open.items.at(-1).blocks.at(-1).state, "waiting");
  const answered = viewOf(events.slice(0, asked + 2));
  assert.deepEqual(answered.waiting, []);
  assert.deepEqual(answered.items.at(-1).blocks.at(-1).answer, { verdict: "denied", reason: "not today" });
  assert.equal(
    viewOf(events)
      .items.flatMap(({ blocks }) => blocks)
      .find(({ type }) => type === "call").result.outcome,
    "denied",
  );
});

test("a snapshot with an open question shows it, and its replay adds nothing", () => {
  const { events, messages } = streams.find(({ said }) => said === "run ls");
  const asked = events.find(({ type }) => type === "approval_requested");
  const call = messages.findIndex(({ role }) => role === "assistant");
  const items = messages.slice(0, call + 1).map((message) => ({ entry: message.id, message }));
  const view = fromSnapshot({ messages: items, waiting: [asked], state: "waiting" });
  assert.equal(view.waiting.length, 1);
  const begin = events.findIndex(({ type }) => type === "tool_execution_start");
  assert.deepEqual(
    lasting(events.slice(begin).reduce((now, event) => fold(now, event), view)),
    lasting(viewOf(events)),
  );
});

test("an agent inside a call has a view of its own", () => {
  const { events } = streams.find(({ said }) => said.startsWith("delegate"));
  const call = viewOf(events)
    .items.flatMap(({ blocks }) => blocks)
    .find(({ type }) => type === "call");
  const [[path, child]] = Object.entries(call.children);
  assert.equal(path, "helper");
  assert.deepEqual(
    child.items.map(({ kind }) => kind),
    ["user", "reply", "reply"],
  );
  assert.match(child.items[1].blocks.at(-1).output, /line 1 of 2\nline 2 of 2/);
});

test("a question of an agent inside a call is one of the conversation, and ends with the call", () => {
  const inner = { type: "approval_requested", call_id: "inner", name: "rm", arguments: {} };
  const outer = { call_id: "outer", name: "helper" };
  const begun = viewOf([
    { type: "tool_execution_start", ...outer, arguments: {} },
    { type: "tool_execution_update", ...outer, content: [], event: inner, path: ["helper"] },
  ]);
  assert.deepEqual(begun.waiting, [{ callId: "inner", name: "rm", path: ["outer", "helper"] }]);
  const answered = { type: "approval_answered", call_id: "inner", name: "rm", verdict: "once", reason: "" };
  assert.deepEqual(
    fold(begun, { type: "tool_execution_update", ...outer, content: [], event: answered, path: ["helper"] }).waiting,
    [],
  );
  const result = { role: "tool", call_id: "outer", name: "helper", content: [], outcome: "interrupted" };
  assert.deepEqual(fold(begun, { type: "tool_execution_end", ...outer, result, duration: 1 }).waiting, []);
});

test("names that objects have already are names like others", () => {
  for (const name of ["__proto__", "constructor", "hasOwnProperty", "toString"]) {
    const call = { call_id: name, name };
    const view = viewOf([
      { type: "tool_execution_start", ...call, arguments: {} },
      { type: "tool_execution_update", ...call, content: [], event: { type: "agent_start" }, path: [name] },
      { type: "tool_execution_update", ...call, content: [{ type: "text", text: "x" }], path: [] },
    ]);
    assert.equal(view.items.length, 1);
    assert.equal(view.items[0].blocks[0].output, "x");
    assert.deepEqual(Object.keys(view.items[0].blocks[0].children), [name]);
  }
  assert.equal({}.output, undefined);
});

test("a run that is cut off leaves nothing open", () => {
  for (const { events } of streams) {
    for (let end = 1; end < events.length; end += Math.max(1, Math.floor(events.length / 40))) {
      const view = fold(viewOf(events.slice(0, end)), { type: "agent_end", stop_reason: "aborted" });
      assert.equal(view.running, false);
      assert.deepEqual(view.waiting, []);
      for (const item of view.items) {
        assert.notEqual(item.open, true);
        for (const block of item.blocks ?? []) if (block?.type === "call") assert.match(block.state, /done|lost/);
      }
    }
  }
});

test("unknown events change nothing", () => {
  const [{ events }] = streams;
  const view = viewOf(events);
  assert.equal(fold(view, { type: "something_new", data: 1 }), view);
});

test("each end of a run that is not seen otherwise is told", () => {
  const ends = [
    [{ stop_reason: "limit", limit: "turns", error: null }, "turns"],
    [{ stop_reason: "error", limit: null, error: { kind: "server", message: "It broke." } }, "It broke."],
  ];
  for (const [end, told] of ends) {
    const notice = fold(EMPTY, { type: "agent_end", ...end }).items.at(-1);
    assert.equal(notice.kind, "notice");
    assert.ok(notice.limit === told || notice.message === told);
  }
  assert.deepEqual(fold(EMPTY, { type: "agent_end", stop_reason: "stop" }).items, []);
});

const applied = (before, lines) => {
  assert.equal(
    lines
      .filter(({ kind }) => kind !== "new")
      .map(({ text }) => text)
      .join("\n"),
    before[0],
  );
  assert.equal(
    lines
      .filter(({ kind }) => kind !== "old")
      .map(({ text }) => text)
      .join("\n"),
    before[1],
  );
};

test("a difference holds both texts, and no more changes than needed", () => {
  const words = "a b c d e f g h".split(" ");
  let seed = 7;
  const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
  for (let round = 0; round < 200; round += 1) {
    const text = () => Array.from({ length: 1 + random(12) }, () => words[random(words.length)]).join("\n");
    const both = [text(), text()];
    applied(both, difference(...both));
  }
  assert.deepEqual(
    difference("a\nb\nc", "a\nx\nc").map(({ kind }) => kind),
    ["same", "old", "new", "same"],
  );
  assert.deepEqual(difference("", "a\n"), [{ kind: "new", text: "a" }]);
  assert.deepEqual(
    difference("a\r\nb", "a\nb").map(({ kind }) => kind),
    ["same", "same"],
  );
});

test("texts that are too different are shown whole, at once", () => {
  const before = Array.from({ length: 3000 }, (_, line) => `old ${line}`).join("\n");
  const after = Array.from({ length: 3000 }, (_, line) => `new ${line}`).join("\n");
  applied([before, after], difference(before, after));
});

test("what is the same is left out, but for what is near a change", () => {
  const before = Array.from({ length: 50 }, (_, line) => `${line}`).join("\n");
  const kept = abridged(difference(before, before.replace("\n25\n", "\nx\n")));
  assert.deepEqual(
    kept.map((line) => line?.text ?? null),
    [null, "22", "23", "24", "25", "x", "26", "27", "28", null],
  );
});

test("nothing hides in what a person is asked about", () => {
  assert.equal(
    visible("rm \u202e-rf\u200b x\u0007"),
    "rm \u27e8U+202E\u27e9-rf\u27e8U+200B\u27e9 x\u27e8U+0007\u27e9",
  );
  assert.equal(visible("\u{e0041}tag"), "\u27e8U+E0041\u27e9tag");
  assert.equal(visible("plain \u00e9\u4e2d\ud83d\ude00\n\ttext"), "plain \u00e9\u4e2d\ud83d\ude00\n\ttext");
});

test("a call is about what people would name first", () => {
  assert.equal(subject({ timeout: 3, command: "ls -la\nrm x" }), "ls -la");
  assert.equal(subject({ n: 3 }), "3");
  assert.equal(subject({}), "");
  assert.ok(isEdit({ path: "a", old: "x", new: "y" }) && isEdit({ path: "a", content: "x" }));
  assert.ok(!isEdit({ old: "x" }) && !isEdit({ content: "x" }) && !isEdit({}));
});

const recording = readFileSync(process.env.RECORDING, "utf8");
const known = JSON.parse(readFileSync(`${process.env.RECORDING}.moments`, "utf8"));

test("a recording has the moments that tether has of it, forward and back", () => {
  const runs = readRecording(recording);
  assert.deepEqual(
    runs.map(({ steps, end }) => [steps.length - 1, end]),
    known.map(({ moments, end }) => [moments.length, end]),
  );
  runs.forEach((run, place) => {
    const walk = new Walk(run);
    const shown = (number) => {
      const { step, view } = walk.to(number);
      const reply = view.items.at(-1);
      return {
        type: step.event.type,
        seconds: step.seconds,
        messages: step.request?.messages ?? null,
        running: step.running.length,
        queued: step.queued.map(({ text }) => text),
        inputs: step.inputs,
        asked: view.waiting.length,
        text: reply?.blocks?.map((block) => block?.text ?? "").join("") ?? "",
      };
    };
    const numbers = known[place].moments.map((_, index) => index + 1);
    const forward = numbers.map(shown);
    for (const [index, moment] of forward.entries()) {
      const { partial, ...rest } = known[place].moments[index];
      const { text, ...own } = moment;
      assert.deepEqual(own, rest, `event ${index + 1}`);
      if (partial !== null) assert.equal(text, partial, `event ${index + 1}`);
    }
    assert.deepEqual(numbers.toReversed().map(shown), forward.toReversed());
    assert.equal(walk.to(0).step.event, null);
    assert.equal(walk.to(1e9).step, run.steps.at(-1));
    assert.equal(walk.to(NaN).step.event, null);
  });
});

test("a recording that was cut off anywhere opens as far as it goes", () => {
  const all = readRecording(recording).flatMap(({ steps }) => steps);
  for (let length = recording.indexOf("\n") + 1; length < recording.length; length += 97) {
    const runs = readRecording(recording.slice(0, length));
    assert.ok(runs.flatMap(({ steps }) => steps).length <= all.length);
    for (const run of runs) new Walk(run).to(Infinity);
  }
});

test("what is no recording says so", () => {
  const head = '["recording",0,{"version":1}]\n';
  assert.throws(() => readRecording(""), /not a recording/);
  assert.throws(() => readRecording("a,b\n1,2\n"), /not a recording/);
  assert.throws(() => readRecording("[1]\n"), /not a recording/);
  assert.throws(() => readRecording('["recording",0,{"version":9}]\n'), /version 9/);
  assert.throws(() => readRecording(`${head}nonsense\n`), /Line 2/);
  const run = '["run",0,{"known":0,"messages":[],"prompts":[]}]\n';
  assert.throws(() => readRecording(`${head}${run}["text",0,[4000000000,"x"]]\n`), /damaged/);
  assert.throws(() => readRecording(`${head}${run}["event",0,null]\n`), /damaged/);
  assert.throws(() => readRecording(`${head}["run",0,7]\n`), /damaged/);
  assert.deepEqual(readRecording(head), []);
});
