/**
 * The difference between two texts, line by line. Pure.
 *
 * @module
 */

/** @typedef {{kind: "same" | "old" | "new", text: string}} Line */

/** Comparisons that are made at most; what differs more is shown as taken out and put in whole. */
const MOST = 1_000_000;

/**
 * @param {string} before
 * @param {string} after
 * @returns {Line[]} what was taken out stands before what was put in its place
 */
export function difference(before, after) {
  const [old, now] = [linesOf(before), linesOf(after)];
  const head = commonLength(old, now, (row, index) => row[index]);
  const [oldRest, newRest] = [old.slice(head), now.slice(head)];
  const foot = commonLength(oldRest, newRest, (row, index) => row[row.length - 1 - index]);
  const middle = changes(oldRest.slice(0, oldRest.length - foot), newRest.slice(0, newRest.length - foot));
  return [...marked("same", old.slice(0, head)), ...middle, ...marked("same", old.slice(old.length - foot))];
}

/**
 * Leave out what is the same, but for a few lines around each change.
 *
 * @param {Line[]} lines
 * @param {number} [around]
 * @returns {(Line | null)[]} null where lines are left out
 */
export function abridged(lines, around = 3) {
  const isNear = lines.map(() => false);
  lines.forEach((line, index) => {
    if (line.kind !== "same") isNear.fill(true, Math.max(0, index - around), index + around + 1);
  });
  /** @type {(Line | null)[]} */
  const kept = [];
  lines.forEach((line, index) => {
    if (isNear[index]) kept.push(line);
    else if (kept.at(-1) !== null) kept.push(null);
  });
  return kept;
}

/** @param {string} text */
function linesOf(text) {
  const lines = text.split(/\r?\n/);
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}

/** @param {string[]} old @param {string[]} now @param {(row: string[], index: number) => string} at */
function commonLength(old, now, at) {
  const most = Math.min(old.length, now.length);
  let length = 0;
  while (length < most && at(old, length) === at(now, length)) length += 1;
  return length;
}

/** By the longest common subsequence. @param {string[]} old @param {string[]} now @returns {Line[]} */
function changes(old, now) {
  if (old.length * now.length > MOST) return [...marked("old", old), ...marked("new", now)];
  const common = commonTable(old, now);
  /** @type {Line[]} */
  const lines = [];
  let [i, j] = [0, 0];
  while (i < old.length && j < now.length) {
    if (old[i] === now[j]) {
      lines.push({ kind: "same", text: old[i] });
      i += 1;
      j += 1;
    } else if (common[i + 1][j] >= common[i][j + 1]) lines.push({ kind: "old", text: old[i++] });
    else lines.push({ kind: "new", text: now[j++] });
  }
  return [...lines, ...marked("old", old.slice(i)), ...marked("new", now.slice(j))];
}

/** How many lines the rests of both have in common. @param {string[]} old @param {string[]} now */
function commonTable(old, now) {
  const table = Array.from({ length: old.length + 1 }, () => new Uint32Array(now.length + 1));
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      const isSame = old[i] === now[j];
      table[i][j] = isSame ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  return table;
}

/** @param {Line["kind"]} kind @param {string[]} texts @returns {Line[]} */
function marked(kind, texts) {
  return texts.map((text) => ({ kind, text }));
}
